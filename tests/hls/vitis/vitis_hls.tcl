# A strict stand-in for the Tcl interpreter of Vitis HLS: test material, no simulation of the tool.
#
# It knows the commands below with the arguments and options that the user guide gives them
# (UG1399 "Vitis High-Level Synthesis User Guide", 2025.2, the section named with each), and the
# order that the guide asks for. All else is an error. What a step "does" is what the test put into
# the directory $env(STANDIN_EFFECTS)/<step>: `log` is printed, `files/` copied into the solution,
# `exit` is an exit code to end with at once.
#
# Called as the tools are:   tclsh vitis_hls.tcl vitis_hls -f SCRIPT
#                            tclsh vitis_hls.tcl vitis-run --mode hls --tcl SCRIPT
# $env(STANDIN_FLOW) is `component` (2025.1 and later) or `project`.

namespace eval standin {
    # command -> section, least and most arguments, options. An option's kind: flag (bare or
    # =true|false), word, number, or the words that it allows.
    variable commands {
        open_project      {"open_project"     1 1 {-reset flag -upgrade flag}}
        open_solution     {"open_solution"    1 1 {-reset flag -flow_target {vivado vitis}}}
        open_component    {"open_component"   1 1 {-reset flag -flow_target {vivado vitis} -config word -write_ini flag}}
        set_top           {"set_top"          1 1 {}}
        add_files         {"add_files"        1 1 {-tb flag -cflags word -csimflags word -blackbox flag}}
        set_part          {"set_part"         1 1 {}}
        create_clock      {"create_clock"     0 0 {-period number -name word}}
        config_interface  {"config_interface" 0 0 {-m_axi_addr64 flag -m_axi_max_widen_bitwidth {0 8 16 32 64 128 256 512 1024} -m_axi_max_read_burst_length number -m_axi_latency number -clock_enable flag}}
        csim_design       {"csim_design"      0 0 {-O flag -argv word -clean flag -ldflags word -mflags word -setup flag}}
        csynth_design     {"csynth_design"    0 0 {-dump_cfg flag -dump_post_cfg flag -synthesis_check flag}}
        cosim_design      {"cosim_design"     0 0 {-O flag -argv word -rtl {verilog vhdl} -tool {auto vcs modelsim riviera isim xsim ncsim xceliumsim} -trace_level {none all port port_hier} -enable_dataflow_profiling flag -random_stall flag -setup flag -ldflags word}}
        export_design     {"export_design"    0 0 {-rtl {verilog vhdl} -format {ip_catalog xo syn_dcp sysgen} -flow {syn impl} -vendor word -library word -ipname word -version version -display_name word -description word -taxonomy word -output word}}
    }
    variable state
    array set state {container {} solution {} top {} sources 0 bench 0 part {} clock {}}

    proc fail {message} { error "stand-in: $message" }

    # Reads the arguments of a command by its row of the table: {arguments options}.
    proc parse {command words} {
        variable commands
        lassign [dict get $commands $command] section least most allowed
        set arguments {}
        set options {}
        for {set at 0} {$at < [llength $words]} {incr at} {
            set word [lindex $words $at]
            if {![string match -* $word]} { lappend arguments $word; continue }
            lassign [split $word =] name value
            if {![dict exists $allowed $name]} {
                fail "$command: unknown option '$name' (UG1399, $section)"
            }
            if {[dict exists $options $name]} { fail "$command: option '$name' twice" }
            set kind [dict get $allowed $name]
            if {$kind eq "flag"} {
                if {[string first = $word] >= 0 && $value ni {true false}} {
                    fail "$command: '$name' is true or false, not '$value'"
                }
                dict set options $name [expr {$value ne "false"}]
                continue
            }
            incr at
            if {$at >= [llength $words]} { fail "$command: '$name' needs a value" }
            dict set options $name [check $command $name $kind [lindex $words $at]]
        }
        if {[llength $arguments] < $least || [llength $arguments] > $most} {
            fail "$command: [llength $arguments] arguments, not $least (UG1399, $section)"
        }
        return [list $arguments $options]
    }

    proc check {command name kind value} {
        switch -- $kind {
            word    { set good [expr {$value ne ""}] }
            number  { set good [expr {[string is double -strict $value] && $value > 0}] }
            version { set good [regexp {^\d+\.\d+$} $value] }
            default { set good [expr {$value in $kind}] }
        }
        if {!$good} { fail "$command: '$value' is no value of '$name'" }
        return $value
    }

    proc need {command what} {
        variable state
        if {$state($what) in {{} 0}} { fail "$command before $what" }
    }

    # The directory of the open solution.
    proc solution {} {
        variable state
        return [file join $state(container) $state(solution)]
    }

    proc open_container {name reset} {
        variable state
        # A reset keeps the files of solutions and invalidates them; here they go.
        if {$reset} { file delete -force $name }
        file mkdir $name
        array set state [list container $name solution {} top {} sources 0 bench 0]
    }

    proc synthesised {} { return [file exists [file join [solution] .synthesised]] }

    # What a step leaves behind: see the head of this file.
    proc effect {step} {
        set directory [file join $::env(STANDIN_EFFECTS) $step]
        if {[file exists $directory/files]} {
            foreach path [glob -nocomplain -directory $directory/files *] {
                copy $path [file join [solution] [file tail $path]]
            }
        }
        if {[file exists $directory/log]} {
            set stream [open $directory/log]
            puts -nonewline [read $stream]
            close $stream
        }
        if {[file exists $directory/sleep]} { exec sleep 600 }
        if {[file exists $directory/exit]} {
            flush stdout
            set stream [open $directory/exit]
            exit [string trim [read $stream]]
        }
        if {[file exists $directory/error]} { error "4" }
    }

    proc copy {from to} {
        if {![file isdirectory $from]} {
            file mkdir [file dirname $to]
            file copy -force $from $to
            file mtime $to [clock seconds]
            return
        }
        foreach path [glob -nocomplain -directory $from *] {
            copy $path [file join $to [file tail $path]]
        }
    }

    proc run {command words} {
        variable state
        lassign [parse $command $words] arguments options
        puts "INFO: \[HLS 200-1510\] Running: $command $words"
        set first [lindex $arguments 0]
        set reset [expr {[dict exists $options -reset] && [dict get $options -reset]}]
        switch -- $command {
            open_project   { open_container $first $reset }
            open_component { open_container $first $reset; set state(solution) hls; file mkdir [solution] }
            open_solution {
                need $command container
                set state(solution) $first
                if {$reset} { file delete -force [solution] }
                file mkdir [solution]
            }
            set_top { need $command container; set state(top) $first }
            add_files {
                need $command container
                if {![file exists $first]} { fail "add_files: $first does not exist" }
                set state([expr {[dict exists $options -tb] ? "bench" : "sources"}]) 1
            }
            set_part {
                need $command solution
                if {![regexp {^xc[0-9a-z]+(-[0-9a-zA-Z-]+)+$} $first]} { fail "set_part: '$first' is no device" }
                set state(part) $first
            }
            create_clock {
                need $command solution
                set state(clock) [expr {[dict exists $options -period] ? [dict get $options -period] : 10}]
            }
            config_interface { need $command solution }
            default { design $command $options }
        }
        return
    }

    proc design {command options} {
        foreach what {container solution top sources part clock} { need $command $what }
        if {$command in {csim_design cosim_design}} { need $command bench }
        if {$command in {cosim_design export_design} && ![synthesised]} { fail "$command before csynth_design" }
        set step [dict get {csim_design csim csynth_design csynth cosim_design cosim export_design export} $command]
        if {$step eq "export" && [dict exists $options -flow]} { set step impl }
        effect $step
        if {$step eq "csynth"} { close [open [file join [solution] .synthesised] w] }
    }

    proc script {words} {
        switch -- [lindex $words 0] {
            vitis_hls { set start {-f} }
            vitis-run { set start {--mode hls --tcl} }
            default   { fail "no tool is called [lindex $words 0]" }
        }
        set given [lrange $words 1 end-1]
        if {$given ne $start} { fail "[lindex $words 0] with '$given' before the script, not '$start'" }
        return [lindex $words end]
    }

    foreach command [dict keys $commands] {
        set later [expr {$command eq "open_component"}]
        if {$command in {open_project open_solution open_component}
            && $later != ($::env(STANDIN_FLOW) eq "component")} { continue }
        proc ::$command args [format {standin::run %s $args} $command]
    }
}

puts "****** Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2024.1 (64-bit)"
# Commands of the tool that are not in the table are errors of our scripts, not of the shell.
proc ::unknown args { standin::fail "unknown command '[lindex $args 0]'" }
set code [catch { source [standin::script $argv] } message]
if {$code} { puts "ERROR: $message"; exit 1 }
