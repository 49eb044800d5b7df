//! What it costs, beside what it may cost: `cargo bench`, or `cargo bench -- memory start` for some parts of it.
//!
//! What is compared is measured in turns in one run, since a machine that is fast now may be slow in a second; medians of many
//! short rounds are compared, never figures of two runs. Nothing here fails when a figure is bad: it says so.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark may stop, and lives in the world"
)]

mod blind;
mod calls;
mod death;
mod events;
mod fleet;
mod host;
mod load;
mod memory;
mod probes;
mod program;
mod rivals;
mod runner;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::time::Instant;

use table::Table;

/// What there is to measure, by name.
type Part = (&'static str, fn(&mut Table));

const PARTS: [Part; 9] = [
    ("probes", probes::measure),
    ("calls", calls::measure),
    ("death", death::measure),
    ("memory", memory::measure),
    ("growth", memory::measure_growth),
    ("program", program::measure),
    ("events", events::measure),
    ("blind", blind::measure),
    ("fleet", fleet::measure),
];

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == rivals::BARE) {
        rivals::serve_bare();
    }
    let wanted: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    host::stay_here();
    let others = host::load_average();
    let started = Instant::now();
    let mut table = Table::default();
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            println!("{name}");
            measure(&mut table);
        }
    }
    table.print();
    println!("It took {} s.", started.elapsed().as_secs());
    if others > 0.5 {
        println!("THE MACHINE WAS BUSY, with a load of {others} before it began: all times are disturbed.");
    }
}
