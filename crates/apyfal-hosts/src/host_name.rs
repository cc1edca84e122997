//! What hosts are called.

use time::OffsetDateTime;

/// What a new host is called, by which its accelerator is known:
/// `[PREFIX_]accelize_ACCELERATOR_yymmddHHMMSS`.
pub fn host_name(prefix: Option<&str>, accelerator: &str) -> String {
    let prefix = prefix.filter(|prefix| !prefix.is_empty());
    let prefix = prefix.map(|prefix| format!("{prefix}_")).unwrap_or_default();
    let (accelerator, at) = (accelerator.replace('@', "_"), OffsetDateTime::now_utc());
    let (date, clock) = (at.date(), at.time());
    format!(
        "{prefix}accelize_{accelerator}_{:02}{:02}{:02}{:02}{:02}{:02}",
        date.year() % 100,
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_host_tells_its_accelerator() {
        let name = host_name(Some("team"), "a@b");
        let (before, when) = name.rsplit_once('_').unwrap();
        assert_eq!(before, "team_accelize_a_b");
        assert!(when.len() == 12 && when.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
        assert!(host_name(None, "gzip").starts_with("accelize_gzip_"));
    }
}
