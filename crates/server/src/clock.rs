//! What time it is, for people and programs to read.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// RFC 3339 in UTC, to the second.
pub(crate) fn now() -> String {
    let now = OffsetDateTime::from(SystemTime::now());
    let now = now.replace_nanosecond(0).unwrap_or(now);
    now.format(&Rfc3339).unwrap_or_default()
}
