//! Sizes as people write them.

/// Bytes of `text`: `1500`, `10M`, `500MB`, `1GiB`, `2 GB`. K, M, G, T and KiB, MiB… are powers of 1024, kB, MB… of 1000; the case does not matter.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text} is no size: write bytes, or 10M, 500MB, 1GiB");
    let trimmed = text.trim();
    let digits = trimmed.find(|character: char| !character.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let (prefix, base) = match (unit.strip_suffix("ib"), unit.strip_suffix('b')) {
        // `ib` alone is none.
        (Some(""), _) => return Err(wrong()),
        (Some(prefix), _) => (prefix, 1024),
        (None, Some(prefix)) => (prefix, 1000_u64),
        (None, None) => (unit.as_str(), 1024),
    };
    let power = match prefix {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(wrong()),
    };
    number.checked_mul(base.pow(power)).ok_or_else(wrong)
}
