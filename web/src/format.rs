//! Numbers as people read them.

/// A share of 1 in percent.
pub fn percent(share: f32) -> String {
    match share * 100.0 {
        percent if percent > 99.0 && percent < 100.0 => "> 99%".to_owned(),
        percent if percent > 0.0 && percent < 1.0 => "< 1%".to_owned(),
        percent => format!("{percent:.0}%"),
    }
}

/// A number of bytes in megabytes.
pub fn megabytes(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    let decimals = if megabytes < 9.95 { 1 } else { 0 };
    format!("{megabytes:.decimals$} MB")
}

/// A time in milliseconds or seconds.
pub fn duration(ms: f64) -> String {
    if ms < 1.0 {
        "less than 1 ms".to_owned()
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certainty_is_never_rounded_up() {
        let shares = [0.0, 0.004, 0.01, 0.126, 0.99, 0.992, 0.9999, 1.0];
        let shown = ["0%", "< 1%", "1%", "13%", "99%", "> 99%", "> 99%", "100%"];
        assert_eq!(shares.map(percent), shown);
    }

    #[test]
    fn small_downloads_have_a_decimal() {
        let sizes = [0, 170_000, 2_470_000, 9_949_999, 9_950_000, 24_400_000];
        let shown = ["0.0 MB", "0.2 MB", "2.5 MB", "9.9 MB", "10 MB", "24 MB"];
        assert_eq!(sizes.map(megabytes), shown);
    }

    #[test]
    fn times_of_a_second_and_more_are_in_seconds() {
        let times = [0.4, 12.0, 999.4, 999.6, 1000.0, 12_345.0];
        let shown = [
            "less than 1 ms",
            "12 ms",
            "999 ms",
            "1.0 s",
            "1.0 s",
            "12.3 s",
        ];
        assert_eq!(times.map(duration), shown);
    }
}
