//! W3C Trace Context, https://www.w3.org/TR/trace-context/.

use super::{hex, sendable};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub parent: Option<[u8; 8]>,
    pub sampled: bool,
    /// Of others, as it came.
    pub state: String,
}

impl Context {
    /// None: there is none, or it is broken, and a trace begins here.
    pub fn read(headers: &HeaderMap) -> Option<Context> {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let text = lines.next()?.to_str().ok().filter(|_| lines.next().is_none())?;
        let octets = text.as_bytes();
        let version = octets.get(..2).filter(|version| lower_hex(version) && *version != b"ff")?;
        // Later versions have more at their end.
        let fits = octets.len() == LENGTH || (version != b"00" && octets.get(LENGTH) == Some(&b'-'));
        if !fits || [2, 35, 52].iter().any(|at| octets[*at] != b'-') {
            return None;
        }
        let (trace, span, flags) =
            (read::<16>(&octets[3..35])?, read::<8>(&octets[36..52])?, read::<1>(&octets[53..55])?);
        if trace == [0; 16] || span == [0; 8] {
            return None;
        }
        let states: Vec<&str> = headers.get_all(TRACESTATE).iter().filter_map(|line| line.to_str().ok()).collect();
        let state = states.join(",");
        let state = if state.len() <= STATE_MAX_BYTES { state } else { String::new() };
        Some(Context { trace, span, parent: None, sampled: flags[0] & 1 == 1, state })
    }

    pub fn child(self, chance: u64) -> Context {
        Context { span: (chance | 1).to_be_bytes(), parent: Some(self.span), ..self }
    }

    /// A new trace, one in so many of which is sampled.
    pub fn root(trace: [u64; 2], span: u64, sample_ppm: u32) -> Context {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&trace[0].to_be_bytes());
        id[8..].copy_from_slice(&(trace[1] | 1).to_be_bytes());
        let sampled = trace[0] % 1_000_000 < u64::from(sample_ppm);
        Context { trace: id, span: (span | 1).to_be_bytes(), parent: None, sampled, state: String::new() }
    }

    pub fn header(&self) -> HeaderValue {
        let mut text = String::with_capacity(LENGTH);
        text.push_str("00-");
        hex(&self.trace, &mut text);
        text.push('-');
        hex(&self.span, &mut text);
        text.push_str(if self.sampled { "-01" } else { "-00" });
        sendable(text)
    }
}

fn lower_hex(octets: &[u8]) -> bool {
    octets.iter().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
}

fn read<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if !lower_hex(digits) {
        return None;
    }
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(octets)
}

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const LENGTH: usize = 55;
const STATE_MAX_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(text: &str) -> Option<Context> {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(text).unwrap());
        Context::read(&headers)
    }

    #[test]
    fn a_context_is_read_and_continued() {
        let parent = of(GOOD).unwrap();
        assert_eq!(parent.header(), GOOD);
        let child = parent.clone().child(7);
        assert_eq!(child.header(), "00-0af7651916cd43dd8448eb211c80319c-0000000000000007-01");
        assert_eq!((child.parent, child.sampled), (Some(parent.span), true));
        assert!(!of(&GOOD.replace("-01", "-00")).unwrap().sampled);
        assert_eq!(of(&format!("{}-more", GOOD.replacen("00", "cc", 1))).unwrap().trace, parent.trace);
    }

    #[test]
    fn what_is_broken_is_no_context() {
        for wrong in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &format!("{GOOD}-more"),
            &GOOD[..54],
            &GOOD.replace('b', "g"),
            &GOOD.replace("-01", "_01"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn so_many_of_the_traces_that_begin_here_are_sampled() {
        let sampled = |ppm| (0..1000_u64).filter(|n| Context::root([n * 1000, 1], 1, ppm).sampled).count();
        assert_eq!([0, 10_000, 500_000, 1_000_000].map(sampled), [0, 10, 500, 1000]);
    }
}
