# SPDX-License-Identifier: Apache-2.0
"""Reports that people read: one HTML file for the result of a run, or for those of several runs.

`write_report(result, path)` and `write_summary(results, path)` take results of schema 2, as `bench/run` writes them. Members that are
missing or null are shown as "not measured". Only the standard library is used."""
from report.page import write_report, write_summary

__all__ = ["write_report", "write_summary"]
