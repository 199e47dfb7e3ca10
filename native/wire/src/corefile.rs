//! The steps of a server block of a Corefile: what each plugin was told to do, parsed, bounded and with every default filled
//! in by the controller. A carrier runs the steps of a row in the order they come, and reads no Corefile.
//!
//! Names and zones are absolute, lower case and in presentation form (`cluster.local.`, the root is `.`). Fields that end in
//! `_ms` are milliseconds, every `ttl` is seconds, sizes are octets, types, classes and rcodes are the numbers of the wire.
//! `fallthrough`: absent is never; else for names in these zones, and `["."]` is all of them. A pattern is a regular
//! expression as RE2 and the regex crate read it, at most 10,000 octets long.
//!
//! Two addresses, `0.0.0.0` and `::`, are what a server without `bind` listens on: `::` is bound for IPv6 only, and
//! left out where the kernel has no IPv6.

use serde::{Deserialize, Serialize};
#[cfg(test)]
use ts_rs::TS;

/// One plugin of a server block. In a row they are in CoreDNS's order, which is not that of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(tag = "plugin", rename_all = "lowercase")]
pub enum Step {
    Metadata(Metadata),
    Cancel(Cancel),
    Timeouts(Timeouts),
    Nsid(Nsid),
    Bufsize(Bufsize),
    Ready(Ready),
    Health(Health),
    Prometheus(Prometheus),
    Errors(Errors),
    Log(Log),
    Local(Local),
    Dns64(Dns64),
    Any(Any),
    Chaos(Chaos),
    Loadbalance(Loadbalance),
    Rewrite(Rewrite),
    Autopath(Autopath),
    Acl(Acl),
    Cache(Cache),
    Header(Header),
    Tls(Tls),
    Minimal(Minimal),
    Template(Template),
    Hosts(Hosts),
    Kubernetes(Kubernetes),
    File(File),
    Loop(Loop),
    Forward(Forward),
    Whoami(Whoami),
}

/// What is known of a query whose name is in these zones, by label: `kubernetes/service`. Nothing by itself: `log` and `rewrite`
/// name labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    pub zones: Vec<String>,
    /// Of the `kubernetes` of the same server; absent: there is none.
    pub kubernetes: Option<MetadataKubernetes>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetadataKubernetes {
    /// All of them, reverse ones too.
    pub zones: Vec<String>,
    /// Those of `zones` with the Services of other clusters.
    pub multicluster: Vec<String>,
    /// The set that tells who asks: as `AutopathPods` has it, and behind namespace and name a text `KEY=VALUE` for each label
    /// of the pod that is asked for. Absent: nobody asks, or nobody knows.
    pub clients: Option<String>,
}

/// A query that took longer is answered with SERVFAIL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cancel {
    pub timeout_ms: u32,
}

/// Of connections (TCP, TLS); absent is the server's own default. 1 s to 24 h each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeouts {
    pub read_ms: Option<u32>,
    pub write_ms: Option<u32>,
    pub idle_ms: Option<u32>,
    /// After so many queries a connection is closed; absent is never.
    pub max_queries: Option<u32>,
}

/// RFC 5001: sent to who asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Nsid {
    /// Text; its octets are the identifier.
    pub data: String,
}

/// A requester's UDP payload size above this is taken to be this. 512 to 4096.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bufsize {
    pub size: u16,
}

/// Where an HTTP server of the carrier listens. Several steps of one address share one server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpListen {
    /// Absent is every address, of both families.
    pub address: Option<String>,
    pub port: u16,
}

/// `/ready`: 200 once every set that a step of any server answers from is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ready {
    pub listen: HttpListen,
    /// May turn 503 again; else the first 200 stays.
    pub continuously: bool,
}

/// `/health`: 200 while the process lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Health {
    pub listen: HttpListen,
    /// How long to answer queries on, unhealthy, after being told to end.
    pub lameduck_ms: u32,
}

/// `/metrics`, and whether queries of this server are counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prometheus {
    pub listen: HttpListen,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Errors {
    pub consolidate: Vec<Consolidate>,
}

/// Errors that a pattern matches are counted and said once a period. The first pattern that matches has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Consolidate {
    pub period_ms: u32,
    pub pattern: String,
    pub level: LogLevel,
    /// The first of a period is said at once, too.
    pub show_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
}

/// The first rule whose zone holds the name and whose classes hold the answer's prints a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Log {
    pub rules: Vec<LogRule>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogRule {
    pub zone: String,
    pub classes: Vec<LogClass>,
    pub format: Vec<LogPart>,
}

/// Success: NOERROR with an answer, and delegations. Denial: NXDOMAIN and NODATA. Error: the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum LogClass {
    All,
    Success,
    Denial,
    Error,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum LogPart {
    Text(String),
    Field(LogField),
    /// A label of `metadata`, `kubernetes/client-namespace`; `-` when it is not there.
    Metadata(String),
}

/// CoreDNS's `{name}`s and `{>name}`s. A field that has no value prints `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum LogField {
    Type,
    Name,
    Class,
    /// `udp`, `tcp` or `tls`.
    Proto,
    /// Of the request.
    Size,
    /// The client's address; IPv6 in brackets.
    Remote,
    Port,
    Local,
    Rcode,
    /// Of the answer, before compression.
    Rsize,
    /// Seconds, `0.000123s`.
    Duration,
    Id,
    Opcode,
    /// `true` or `false`.
    Do,
    /// The requester's UDP payload size.
    Bufsize,
    /// Flags of the answer: `qr,aa,rd`.
    Rflags,
}

/// localhost, 127.in-addr.arpa and the like are answered here (RFC 6303).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Local {
    /// `localhost.ANYTHING.` is localhost, too.
    pub localhost_prefix: bool,
}

/// RFC 6147.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dns64 {
    /// `64:ff9b::/96`; 32, 40, 48, 56, 64 or 96 bits long.
    pub prefix: String,
    /// Also where there is an AAAA record.
    pub translate_all: bool,
    /// Also for clients that ask over IPv4.
    pub allow_ipv4: bool,
}

/// ANY is answered with HINFO (RFC 8482).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Any {}

/// version.bind, version.server, authors.bind, hostname.bind and id.server in class CH.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chaos {
    /// At most 255 octets each.
    pub version: String,
    pub authors: Vec<String>,
}

/// The addresses of an answer come in random order, CNAMEs before them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Loadbalance {
    /// Addresses in these networks (`10.0.0.0/8`) come first, in this order.
    pub prefer: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rewrite {
    pub rules: Vec<RewriteRule>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RewriteRule {
    /// When it applied, later rules are passed over.
    pub stop: bool,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(tag = "field", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Change {
    Name {
        matching: Matching,
        /// What takes the place of what matched: of the whole name for exact and regex, else of that part.
        to: Vec<TextPart>,
        /// Names in the answer are put back: suffixes for a suffix rule, else the rewritten name to the asked one.
        auto: bool,
        answer: Vec<AnswerChange>,
    },
    Type {
        from: u16,
        to: u16,
    },
    Class {
        from: u16,
        to: u16,
    },
    Edns0 {
        action: Edns0Action,
        option: Edns0Option,
        /// The answer does not show what was changed.
        revert: bool,
    },
    /// The TTLs of the answer are brought into min..=max.
    Ttl {
        matching: Matching,
        min: u32,
        max: u32,
    },
    Rcode {
        matching: Matching,
        from: u16,
        to: u16,
    },
    /// The target of a CNAME in the answer; what follows it is looked up anew.
    Cname {
        matching: Matching,
        to: Vec<TextPart>,
    },
}

/// Of a name, in lower case and with its final dot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Matching {
    pub how: How,
    /// Compared as text; for `regex` a pattern, which may match anywhere in the name.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum How {
    Exact,
    Prefix,
    Suffix,
    Substring,
    Regex,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum TextPart {
    Text(String),
    /// A group of the pattern by number; 0 is the whole match.
    Group(u8),
    /// A label of `metadata`, in what takes the place of a name that is asked for. Where it is not there, the rule is passed over.
    Metadata(String),
}

/// A name in the answer that the pattern matches becomes `to` as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnswerChange {
    pub what: AnswerPart,
    pub pattern: String,
    pub to: Vec<TextPart>,
}

/// Owners, or names in the data of CNAME, DNAME, SOA, SRV, MX, NAPTR, NS and PTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum AnswerPart {
    Name,
    Value,
}

/// Replace: only what is there. Append: only where there is none. Set: either. Unset: removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum Edns0Action {
    Set,
    Append,
    Replace,
    Unset,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Edns0Option {
    Local {
        code: u16,
        data: Edns0Data,
    },
    Nsid,
    /// RFC 7871: so many bits of the client's address. 0 to 32, 0 to 128.
    Subnet {
        ipv4_bits: u8,
        ipv6_bits: u8,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum Edns0Data {
    /// Hexadecimal, lower case.
    Octets(String),
    Variable(Edns0Variable),
    /// A label of `metadata`. Where it is not there, the rule is passed over.
    Metadata(String),
}

/// Name and protocol as text, the rest as on the wire: two octets a number, four or sixteen an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum Edns0Variable {
    Qname,
    Qtype,
    ClientIp,
    ClientPort,
    Protocol,
    ServerIp,
    ServerPort,
}

/// A name of the first search domain that does not exist is tried in the others, before the client does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Autopath {
    pub zones: Vec<String>,
    pub search: Vec<String>,
    /// `autopath @kubernetes`: what a client's own search list begins with.
    pub pods: Option<AutopathPods>,
}

/// A client of the namespace NS searches `NS.svc.ZONE`, `svc.ZONE` and `ZONE` first. Who is in which namespace are rows of the
/// set: the reverse name of an address has a TXT record, namespace and name of the pod. No row, or one without it: nobody
/// knows, and the client searches by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutopathPods {
    pub set: String,
    /// Of names of the cluster.
    pub zones: Vec<String>,
}

/// The first rule that has a policy for the query decides; none is allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Acl {
    pub rules: Vec<AclRule>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AclRule {
    pub zones: Vec<String>,
    pub policies: Vec<AclPolicy>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AclPolicy {
    pub action: AclAction,
    /// Empty is every type.
    pub types: Vec<u16>,
    /// Of clients, `10.0.0.0/8`. Empty is everybody.
    pub networks: Vec<String>,
}

/// Block: REFUSED, with extended error 15. Filter: NODATA, with 17. Drop: no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum AclAction {
    Allow,
    Block,
    Filter,
    Drop,
}

/// Of what the steps below answer, names of these zones only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cache {
    pub zones: Vec<String>,
    pub success: CacheShare,
    /// NXDOMAIN and NODATA.
    pub denial: CacheShare,
    pub prefetch: Option<Prefetch>,
    pub serve_stale: Option<ServeStale>,
    /// How long a SERVFAIL is kept; 0 is not at all, 300,000 at most.
    pub servfail_ms: u32,
    /// Answers show the TTL that was cached, not what is left of it.
    pub keep_ttl: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheShare {
    /// Answers; 1,024 at least.
    pub capacity: u32,
    pub max_ttl: u32,
    pub min_ttl: u32,
    /// Names of these zones are not cached.
    pub except: Vec<String>,
}

/// An answer that was asked for so many times, with gaps below the duration, is fetched again when less than the percentage
/// (10 to 90) of its TTL is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prefetch {
    pub amount: u32,
    pub duration_ms: u32,
    pub percentage: u8,
}

/// RFC 8767.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServeStale {
    /// How long after its end an answer may still be given.
    pub up_to_ms: u32,
    /// The source is asked first, and the stale answer given only when it fails; else given at once, and asked after.
    pub verify: bool,
    /// How long the source is waited for; 0 is until it has failed.
    pub verify_timeout_ms: u32,
    /// Of a stale answer.
    pub ttl: u32,
    /// After a failed refresh the next one waits so long; 300,000 at most.
    pub recheck_ms: u32,
    /// An answer that says something, stale or not, before one that denies it.
    pub prefer_positive: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    pub query: Vec<FlagRule>,
    pub response: Vec<FlagRule>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlagRule {
    pub flag: Flag,
    pub set: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum Flag {
    Aa,
    Ra,
    Rd,
}

/// The certificate of a server whose transport is `tls`. Paths of PEM files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    pub certificate: String,
    pub key: String,
    /// Whom clients' certificates are verified by.
    pub ca: Option<String>,
    pub client_auth: ClientAuth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum ClientAuth {
    NoCert,
    Request,
    Require,
    VerifyIfGiven,
    RequireAndVerify,
}

/// Authority and additional sections are left out where an answer does not need them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Minimal {}

/// Tried in order; the first whose zones, class, type and a pattern match answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Template {
    pub templates: Vec<TemplateRule>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateRule {
    /// 255 is any.
    pub class: u16,
    /// 255 is any.
    #[serde(rename = "type")]
    pub kind: u16,
    pub zones: Vec<String>,
    /// Of the name; empty matches every one. The first that matches gives the groups.
    pub patterns: Vec<String>,
    pub answer: Vec<TemplateRecord>,
    pub additional: Vec<TemplateRecord>,
    pub authority: Vec<TemplateRecord>,
    pub rcode: u16,
    /// RFC 8914.
    pub extended_error: Option<ExtendedError>,
    /// Where zones, class and type match and no pattern does: the next template, then the next step. Else SERVFAIL.
    pub fallthrough: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtendedError {
    pub code: u16,
    pub text: String,
}

/// A record with holes. What the parts of owner and of a field make up is presentation form; where it is not (no address, no
/// name), the query gets SERVFAIL. A name without its final dot gets one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateRecord {
    pub owner: Vec<TemplatePart>,
    pub ttl: u32,
    /// A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV or CAA.
    #[serde(rename = "type")]
    pub kind: u16,
    /// The fields of the data in the order of the master file (RFC 1035 5.1), quotes and brackets taken off.
    pub data: Vec<Vec<TemplatePart>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum TemplatePart {
    Text(String),
    /// The name that was asked for, with its final dot.
    Name,
    /// The zone of the template that it is in.
    Zone,
    Class,
    Type,
    /// The client's address.
    Remote,
    /// A group of the pattern that matched, by number; 0 is the whole match.
    Group(u8),
    NamedGroup(String),
    /// A group read as a number and written in decimal.
    Number {
        group: String,
        base: u8,
        bits: u8,
    },
}

/// Addresses of hosts files and of the Corefile: rows of the set. A name that has none is SERVFAIL, or falls through; PTR
/// records answer outside of the zones as well, and fall through always. A row's name may be a wildcard, `*.example.org.`,
/// which stands for one label. A name that is only part of others does not exist: `hosts` with `db.example.org` has no say
/// about `example.org`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hosts {
    pub set: String,
    pub zones: Vec<String>,
    pub ttl: u32,
    pub fallthrough: Option<Vec<String>>,
    /// Types other than A, AAAA and PTR fall through as well, where names do.
    pub fallthrough_unsupported: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kubernetes {
    pub set: String,
    pub zones: Vec<String>,
    pub ttl: u32,
    pub fallthrough: Option<Vec<String>>,
    pub soa: Soa,
}

/// The SOA record of each zone of a step: `PRIMARY.ZONE MAILBOX.ZONE SERIAL REFRESH RETRY EXPIRE MINIMUM`, where the serial is
/// of the table's last change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Soa {
    /// `ns.dns`: labels below the zone.
    pub primary: String,
    /// `hostmaster`.
    pub mailbox: String,
    /// Of the record itself.
    pub ttl: u32,
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
    pub minimum: u32,
}

/// Zones whose records are rows of a set, SOA and NS records of the apex among them, with wildcards (RFC 4592) and NS records
/// of what is delegated. The longest zone that holds the name answers; transfers are refused. A zone whose SOA record is not
/// there is not loaded: SERVFAIL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    pub zones: Vec<FileZone>,
    pub fallthrough: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileZone {
    pub zone: String,
    pub set: String,
}

/// A random name of this zone is sent to ourselves at the start: seen more than twice, queries go round in circles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Loop {
    pub zone: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Forward {
    /// Names of this zone.
    pub from: String,
    /// ... but not of these.
    pub except: Vec<String>,
    /// 1 to 15.
    pub upstreams: Vec<Upstream>,
    pub policy: Policy,
    pub force_tcp: bool,
    pub prefer_udp: bool,
    /// How long a connection that is not used is kept.
    pub expire_ms: u32,
    /// How long a connection is used at most.
    pub max_age_ms: Option<u32>,
    /// Connections that are not used, of each upstream.
    pub max_idle_connections: Option<u32>,
    /// Of one try.
    pub read_timeout_ms: u32,
    /// So many failed checks in a row make an upstream down; 0 is never, and no checks.
    pub max_fails: u32,
    /// Tries of one query; absent is twice the number of upstreams, 0 without bound.
    pub max_connect_attempts: Option<u32>,
    pub health_check: HealthCheck,
    /// More queries at a time are REFUSED.
    pub max_concurrent: Option<u32>,
    /// With one of these rcodes the next step is asked.
    pub next: Vec<u16>,
    /// ... and with NODATA.
    pub next_on_nodata: bool,
    /// With one of these rcodes the next upstream is asked.
    pub failover: Vec<u16>,
    /// All upstreams down is SERVFAIL; else a random one is asked.
    pub fail_fast: bool,
    pub source_address: Option<String>,
    /// For upstreams whose transport is `tls`.
    pub tls: UpstreamTls,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upstream {
    pub transport: UpstreamTransport,
    /// An address; IPv6 without brackets, link-local ones with `%INTERFACE`.
    pub address: String,
    pub port: u16,
    /// What its certificate must be for; absent is its address.
    pub server_name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum UpstreamTransport {
    /// UDP, and TCP where it is asked for or needed.
    Dns,
    Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    Random,
    RoundRobin,
    Sequential,
}

/// Asked of an upstream after an error, until it answers anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    pub interval_ms: u32,
    pub recursion_desired: bool,
    /// The name, of type NS.
    pub domain: String,
}

/// Paths of PEM files. Without a CA the system's are trusted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamTls {
    pub certificate: Option<String>,
    pub key: Option<String>,
    pub ca: Option<String>,
}

/// Tells a client its own address and port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Whoami {}
