//! Windows: its own name of the zone, translated by Unicode's table.

/// The zone of the host's clock.
pub(super) fn clock_zone() -> Option<String> {
    let zone = jiff::tz::TimeZone::try_system().ok()?;
    zone.iana_name().map(str::to_owned)
}
