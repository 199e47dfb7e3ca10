use cli::{Failure, Flags, failed, usage};

/// The questions of --names: on each line a name, and a type where it is not --type's.
pub fn read(flags: &Flags) -> Result<Vec<Vec<u8>>, Failure> {
    let kind: u16 = flags.parsed("type")?.unwrap_or(1);
    let file = flags.one("names").ok_or_else(|| usage("--names FILE is needed: a name on each line"))?;
    let text = std::fs::read_to_string(file).map_err(failed(format!("cannot read {file}")))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let questions = lines.map(|line| question(line, kind)).collect::<Option<Vec<_>>>();
    questions.filter(|all| !all.is_empty()).ok_or_else(|| usage(format!("{file}: no names of DNS")))
}

/// A query with RD, its id to be filled in; `None` if the line is none.
fn question(line: &str, kind: u16) -> Option<Vec<u8>> {
    let (name, kind) = match line.split_once(char::is_whitespace) {
        Some((name, number)) => (name, number.trim().parse().ok()?),
        None => (line, kind),
    };
    let mut packet = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len()).ok().filter(|length| *length < 64)?);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend([kind.to_be_bytes(), [0, 1]].concat());
    (packet.len() <= QUESTION_BYTES).then_some(packet)
}

/// Header, name, type, class.
pub const QUESTION_BYTES: usize = 12 + 255 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_perhaps_a_type() {
        let tail = |line| question(line, 1).map(|packet| packet[12..].to_vec());
        assert_eq!(tail("a.bc."), Some(b"\x01a\x02bc\0\0\x01\0\x01".to_vec()));
        assert_eq!(tail("a 28"), Some(b"\x01a\0\0\x1c\0\x01".to_vec()));
        assert_eq!((tail("a b"), tail(&"x".repeat(64))), (None, None));
    }
}
