//! System tests: the real program, real files and databases, through the public door only. One file per promise.

mod backpressure;
mod bad_rows;
mod captures;
mod cdc_cases;
mod cdc_torture;
mod crash_recovery;
mod exactly_once;
mod examples;
mod flow_definitions;
mod flow_tests;
mod graphs;
mod harness;
mod http_services;
mod nexmark;
mod operation;
mod plugin_catalogue;
mod receipts;
mod restart_policy;
mod setup_page;
mod sub_flows;
mod tidy;
mod torture;
mod totals;
mod traces;
mod turns;
mod verify_servers;
