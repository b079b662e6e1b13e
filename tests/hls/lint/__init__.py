"""Tests of the lint: a failing sample and a passing twin for every rule."""
