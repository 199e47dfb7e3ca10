//! Answers as a strict client reads them (RFC 1035 4.1).

/// Panics unless `answer` may be sent as what `query` is answered.
pub fn check(query: &[u8], answer: &[u8], stream: bool) {
    let number = |at: usize| usize::from(u16::from_be_bytes([answer[at], answer[at + 1]]));
    assert!(answer.len() >= 12, "there is a header");
    assert_eq!(answer[..2], query[..2], "the id is the query's");
    assert_eq!(answer[2] & 0x80, 0x80, "it is an answer");
    assert_eq!(answer[3] & 0x40, 0, "Z is clear");
    assert!(number(4) <= 1, "one question at most");
    if stream {
        assert_eq!(answer[2] & 2, 0, "what came over a stream is not truncated");
    } else {
        assert!(answer.len() <= 4096, "no longer than any client takes");
    }
    let mut at = 12;
    if number(4) == 1 {
        let end = name(answer, &mut at) + 4;
        assert_eq!(answer[12..end], query[12..end], "the question is the query's");
        at = end;
    }
    let mut opts = 0;
    for _ in 0..number(6) + number(8) + number(10) {
        name(answer, &mut at);
        let (kind, end) = (number(at), at + 10 + number(at + 8));
        assert!(end <= answer.len(), "a record ends within the message");
        at += 10;
        match kind {
            2 | 5 | 12 | 39 => assert_eq!(name(answer, &mut at), end, "the name is all of the data"),
            15 => assert_eq!(name(answer, &mut (at + 2)), end, "as is that of MX"),
            33 => assert_eq!(name(answer, &mut (at + 6)), end, "and of SRV"),
            6 => {
                name(answer, &mut at);
                assert_eq!(name(answer, &mut at) + 20, end, "SOA is two names and five numbers");
            }
            1 => assert_eq!(end - at, 4, "IPv4"),
            28 => assert_eq!(end - at, 16, "IPv6"),
            41 => opts += 1,
            _ => {}
        }
        at = end;
    }
    assert!(opts <= 1, "one OPT at most");
    assert_eq!(at, answer.len(), "nothing is behind the last record");
}

/// Moves behind a name, and returns where that is; pointers lead backwards, and it is no longer than 255 octets.
fn name(message: &[u8], at: &mut usize) -> usize {
    let (mut here, mut end, mut bytes) = (*at, None, 0);
    loop {
        let length = usize::from(message[here]);
        if length & 0xc0 == 0xc0 {
            let to = (length & 0x3f) << 8 | usize::from(message[here + 1]);
            assert!(to < here, "pointers lead backwards");
            end.get_or_insert(here + 2);
            here = to;
            continue;
        }
        assert!(length < 0x40, "a label");
        bytes += 1 + length;
        here += 1 + length;
        if length == 0 {
            break;
        }
    }
    assert!(bytes <= 255, "a name");
    *at = end.unwrap_or(here);
    *at
}
