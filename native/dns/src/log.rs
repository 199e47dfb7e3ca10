//! The log step: a line for each answer that a rule is for. Lines go over a bounded queue to a thread of their own: to write
//! takes longer than to answer.

use crate::asker::Asker;
use crate::metadata::{Facts, type_of};
use crate::name::{Name, Shown, not_absolute, within};
use crate::names::{Class, Code, Kind};
use crate::packet::{self, Query};
use crate::reply::Transport;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use supervisor::Problem;
use wire::corefile::{self, LogClass, LogField, LogPart};

pub struct Log {
    rules: Vec<(Name, Vec<LogClass>, Vec<LogPart>)>,
}

/// An answer and who got it.
pub struct Event<'a> {
    pub query: &'a Query<'a>,
    pub query_bytes: usize,
    /// Empty: there was none.
    pub answer: &'a [u8],
    pub code: u16,
    pub peer: SocketAddr,
    pub local: IpAddr,
    pub transport: Transport,
    pub took: Duration,
    /// What `metadata` knows; absent where it is not asked to.
    pub facts: Option<Facts<'a>>,
}

impl Log {
    pub fn new(step: &corefile::Log) -> Result<Log, Problem> {
        let rule = |rule: &corefile::LogRule| {
            let zone = Name::parse(&rule.zone).map_err(not_absolute)?;
            Ok((zone, rule.classes.clone(), rule.format.clone()))
        };
        Ok(Log { rules: step.rules.iter().map(rule).collect::<Result<_, _>>()? })
    }

    pub fn tell(&self, event: &Event) {
        if let Some(line) = self.line(event) {
            print(line);
        }
    }

    /// The first rule whose zone holds the name decides.
    fn line(&self, event: &Event) -> Option<String> {
        let name = event.query.name.wire();
        let (_, classes, format) = self.rules.iter().find(|(zone, ..)| within(name, zone.wire()))?;
        let answers = event.answer.get(6..8).is_some_and(|count| count != [0, 0]);
        let class = match event.code {
            _ if event.answer.is_empty() => LogClass::Error,
            packet::NO_ERROR if answers => LogClass::Success,
            packet::NO_ERROR | packet::NAME_ERROR => LogClass::Denial,
            _ => LogClass::Error,
        };
        if !classes.contains(&LogClass::All) && !classes.contains(&class) {
            return None;
        }
        let mut line = String::from("[INFO] ");
        for part in format {
            match part {
                LogPart::Text(text) => line += text,
                LogPart::Metadata(label) => {
                    let class = match class {
                        LogClass::Success => "success",
                        LogClass::Denial => "denial",
                        LogClass::All | LogClass::Error => "error",
                    };
                    line += event.fact(label, class).as_deref().unwrap_or("-");
                }
                LogPart::Field(field) => event.write(*field, &mut line),
            }
        }
        Some(line)
    }
}

impl<'a> Event<'a> {
    /// `packet` is the query, `server` where it came to.
    pub fn of(
        query: &'a Query,
        packet: &[u8],
        asker: &Asker,
        server: SocketAddr,
        answer: &'a [u8],
        code: u16,
        facts: Option<Facts<'a>>,
    ) -> Event<'a> {
        let (peer, transport, took) = (asker.peer, asker.transport, asker.came.elapsed());
        Event { query, query_bytes: packet.len(), answer, code, peer, local: server.ip(), transport, took, facts }
    }
}

impl Event<'_> {
    /// The value of a label of `metadata`.
    fn fact(&self, label: &str, class: &str) -> Option<String> {
        let facts = self.facts?;
        match label {
            _ if !facts.holds() => None,
            "log/class" => Some(class.to_string()),
            "log/type" => Some(type_of(self.answer, self.query.kind, self.code).to_string()),
            _ => facts.value(label),
        }
    }

    fn write(&self, field: LogField, line: &mut String) {
        let query = self.query;
        let shown = |ip: IpAddr| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        let _ = match field {
            LogField::Rcode | LogField::Rflags if self.answer.is_empty() => write!(line, "-"),
            LogField::Type => write!(line, "{}", Kind(query.kind)),
            LogField::Name => write!(line, "{}", Shown(query.name.wire())),
            LogField::Class => write!(line, "{}", Class(query.class)),
            LogField::Proto => write!(line, "{}", crate::metrics::PROTOCOLS[self.transport as usize]),
            LogField::Size => write!(line, "{}", self.query_bytes),
            LogField::Remote => write!(line, "{}", shown(self.peer.ip())),
            LogField::Port => write!(line, "{}", self.peer.port()),
            LogField::Local => write!(line, "{}", shown(self.local)),
            LogField::Rcode => write!(line, "{}", Code(self.code)),
            LogField::Rsize => write!(line, "{}", self.answer.len()),
            LogField::Duration => write!(line, "{}s", self.took.as_secs_f64()),
            LogField::Id => write!(line, "{}", u16::from_be_bytes(query.id)),
            LogField::Opcode => write!(line, "0"),
            LogField::Do => write!(line, "{}", query.edns.is_some_and(|edns| edns.dnssec_ok)),
            LogField::Bufsize => write!(line, "{}", query.edns.map_or(512, |edns| edns.size)),
            LogField::Rflags => {
                let flags = self.answer.get(2..4).map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]));
                let set = FLAGS.iter().filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| *name);
                write!(line, "{}", set.collect::<Vec<_>>().join(","))
            }
        };
    }
}

/// To standard output, as CoreDNS does. When lines come faster than they are taken, some are lost, and counted.
pub fn print(line: String) {
    static LOST: AtomicU64 = AtomicU64::new(0);
    static LINES: LazyLock<SyncSender<String>> = LazyLock::new(|| {
        let (sender, lines) = sync_channel::<String>(LINES_MAX);
        let write = move || {
            for line in lines {
                let mut out = std::io::stdout().lock();
                let lost = LOST.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let _ = writeln!(out, "[WARNING] log: {lost} lines were lost: they came too fast");
                }
                let _ = writeln!(out, "{line}");
            }
        };
        // Without a thread the lines are lost, which is counted.
        drop(thread::Builder::new().name("log".to_string()).spawn(write));
        sender
    });
    if LINES.try_send(line).is_err() {
        LOST.fetch_add(1, Ordering::Relaxed);
    }
}

const LINES_MAX: usize = 4096;
/// Bits of the header's second word.
const FLAGS: [(u16, &str); 8] =
    [(15, "qr"), (10, "aa"), (9, "tc"), (8, "rd"), (7, "ra"), (6, "z"), (5, "ad"), (4, "cd")];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Metadata;
    use crate::tables::Tables;
    use std::time::Instant;

    #[test]
    fn a_line_as_coredns_writes_it() {
        let format: Vec<LogPart> = serde_json::from_str(
            r#"[{"field":"remote"},{"text":":"},{"field":"port"},{"text":" - "},{"field":"id"},{"text":" \""},{"field":"type"},{"text":" "},
            {"field":"class"},{"text":" "},{"field":"name"},{"text":" "},{"field":"proto"},{"text":" "},{"field":"size"},{"text":" "},{"field":"do"},
            {"text":" "},{"field":"bufsize"},{"text":"\" "},{"field":"rcode"},{"text":" "},{"field":"rflags"},{"text":" "},{"field":"rsize"},
            {"text":" "},{"field":"duration"}]"#,
        )
        .unwrap();
        let rule = corefile::LogRule { zone: ".".to_string(), classes: vec![LogClass::Denial], format };
        let log = Log::new(&corefile::Log { rules: vec![rule] }).unwrap();
        let packet = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01A\0\0\x01\0\x01";
        let query = packet::parse(packet).unwrap();
        let mut event = Event {
            query: &query,
            query_bytes: packet.len(),
            answer: b"\x12\x34\x85\0\0\x01\0\0\0\0\0\0",
            code: packet::NAME_ERROR,
            peer: "[::1]:53".parse().unwrap(),
            local: "::1".parse().unwrap(),
            transport: Transport::Udp,
            took: Duration::from_micros(123),
            facts: None,
        };
        let line = "[INFO] [::1]:53 - 4660 \"A IN a. udp 19 false 512\" NXDOMAIN qr,aa,rd 12 0.000123s";
        assert_eq!(log.line(&event).as_deref(), Some(line));
        event.code = packet::SERVER_FAILURE;
        assert_eq!(log.line(&event), None, "an error is no denial");
        event.code = packet::NO_ERROR;
        assert!(log.line(&event).is_some(), "what has no answer is a denial");
        event.answer = b"\x12\x34\x85\0\0\x01\0\x01\0\0\0\0";
        assert_eq!(log.line(&event), None, "and what has one is none");
    }

    #[test]
    fn every_field_and_class() {
        let fields = ["type", "class", "rcode", "rflags", "rsize", "do", "bufsize", "opcode", "local", "proto"];
        let format = fields.map(|field| format!(r#"{{"field":"{field}"}},{{"text":" "}}"#)).join(",");
        let log = |classes: &str, format: &str| {
            let rule = format!(r#"{{"rules":[{{"zone":"b.","classes":[{classes}],"format":[{format}]}}]}}"#);
            Log::new(&serde_json::from_str(&rule).unwrap()).unwrap()
        };
        let packet = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x01A\x01b\0\0\x23\0\x04\0\0\x29\x10\0\0\0\x80\0\0\0";
        let query = packet::parse(packet).unwrap();
        let mut event = Event {
            query: &query,
            query_bytes: packet.len(),
            answer: b"\x12\x34\x83\xf0\0\x01\0\0\0\0\0\0",
            code: 23,
            peer: "192.0.2.1:9".parse().unwrap(),
            local: "192.0.2.2".parse().unwrap(),
            transport: Transport::Tcp,
            took: Duration::ZERO,
            facts: None,
        };
        let line = log("\"error\"", &format).line(&event);
        assert_eq!(
            line.as_deref(),
            Some("[INFO] NAPTR HS BADCOOKIE qr,tc,rd,ra,z,ad,cd 12 true 4096 0 192.0.2.2 tcp ")
        );
        (event.answer, event.code) = (b"", packet::NO_ERROR);
        let line = log("\"error\"", &format).line(&event);
        assert_eq!(line.as_deref(), Some("[INFO] NAPTR HS - - 0 true 4096 0 192.0.2.2 tcp "), "there was no answer");
        assert_eq!(log("\"success\",\"denial\"", &format).line(&event), None);
        assert!(log("\"all\",\"success\"", &format).line(&event).is_some());
        let metadata = log("\"all\"", r#"{"metadata":"log/type"},{"text":" "},{"metadata":"kubernetes/service"}"#);
        assert_eq!(metadata.line(&event).as_deref(), Some("[INFO] - -"));
        let step = corefile::Metadata { zones: vec!["b.".to_string()], kubernetes: None };
        let given = Metadata::new(&step, |_| 0).unwrap();
        let asker = Asker { peer: event.peer, transport: Transport::Tcp, came: Instant::now(), lane: 0, turn: 0 };
        let tables = Tables::default();
        let name = query.name.wire();
        let upstream = Some("192.0.2.9:53".parse().unwrap());
        event.facts = Some(Facts { metadata: &given, tables: &tables, name, asker: &asker, upstream });
        assert_eq!(metadata.line(&event).as_deref(), Some("[INFO] OTHERERROR -"));
        let who = log("\"all\"", r#"{"metadata":"forward/upstream"},{"text":" "},{"metadata":"log/class"}"#);
        assert_eq!(who.line(&event).as_deref(), Some("[INFO] 192.0.2.9:53 error"));
        let other = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01A\0\0\x01\0\x01";
        let other = packet::parse(other).unwrap();
        event.query = &other;
        assert_eq!(metadata.line(&event), None, "the name lies elsewhere");
    }
}
