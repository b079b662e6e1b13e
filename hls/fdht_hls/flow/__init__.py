"""Outside tools as plans: what to run, on which files, as pure data; and where a plan can run.

A plan is written to a directory and run there: by `running` on this machine, by `remote` over SSH,
or by hand with its own `build.sh`. All three leave the same records, so that any of them goes on
where another stopped.
"""
