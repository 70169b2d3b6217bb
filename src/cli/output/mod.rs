//! What the user sees: the printer, tables, JSON, units and `--format`.

pub mod doctor_report;
pub mod format;
pub mod gotemplate;
pub mod gotime;
pub mod host_report;
pub mod image_report;
pub mod json;
pub mod port_report;
pub mod printer;
pub mod reports;
pub mod selftest_report;
pub mod table;
pub mod units;
pub mod untrusted;
pub mod yaml;
