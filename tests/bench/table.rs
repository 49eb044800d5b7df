//! The figures, each beside its budget, as the README has them.

use std::time::Duration;

/// Rows in the order in which they were found: what, how much, its budget, whether that is met.
#[derive(Default)]
pub struct Table(Vec<[String; 4]>);

impl Table {
    /// A figure that has a budget.
    pub fn add(&mut self, what: &str, measured: impl Into<String>, budget: &str, is_met: bool) {
        self.row(what, measured.into(), budget, if is_met { "met" } else { "**MISSED**" });
    }

    /// A figure that is good to know, or a budget that is kept elsewhere.
    pub fn note(&mut self, what: &str, measured: impl Into<String>, budget: &str) {
        self.row(what, measured.into(), budget, "");
    }

    /// A figure that cannot be had here.
    pub fn lacks(&mut self, what: &str, why: &str, budget: &str) {
        self.note(what, format!("not measured: {why}"), budget);
    }

    /// Each row is said when it is found, too: one sees that it goes on.
    fn row(&mut self, what: &str, measured: String, budget: &str, met: &str) {
        let row = [what.to_owned(), measured, budget.to_owned(), met.to_owned()];
        println!("  {}", row.join("  "));
        self.0.push(row);
    }

    /// The table as Markdown, and loudly what is missed.
    pub fn print(&self) {
        println!("\n| what | measured | budget | |\n|---|---|---|---|");
        for row in &self.0 {
            println!("| {} |", row.join(" | "));
        }
        println!();
        for [what, measured, budget, met] in &self.0 {
            if met.contains("MISSED") {
                println!("BUDGET MISSED: {what}: {measured}; the budget is {budget}");
            }
        }
    }
}

/// A time as people write it.
pub fn time(time: Duration) -> String {
    let micros = time.as_nanos() as f64 / 1000.0;
    match micros {
        ..100.0 => format!("{micros:.1} µs"),
        ..1000.0 => format!("{micros:.0} µs"),
        _ => format!("{:.1} ms", micros / 1000.0),
    }
}

/// A number in groups of three digits.
pub fn grouped(number: u64) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", grouped(number / 1000), number % 1000) }
}

/// KiB as MiB.
pub fn mebibytes(kibibytes: u64) -> String {
    format!("{:.2} MiB", kibibytes as f64 / 1024.0)
}
