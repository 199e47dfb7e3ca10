use crate::Failure;
use std::str::FromStr;

/// Flags given before the first other argument (or `--`), and the arguments after it.
#[derive(Debug, Default)]
pub struct Flags {
    given: Vec<(String, String)>,
    pub rest: Vec<String>,
}

/// Parses `--name value`, `--name=value` and, for names in `switches`, `--name`. Everything from the first argument that
/// is no flag, or behind `--`, is `rest`, untouched.
pub fn parse(arguments: &[String], values: &[&str], switches: &[&str]) -> Result<Flags, Failure> {
    let mut flags = Flags::default();
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        if argument == "--" {
            break;
        }
        let Some(flag) = argument.strip_prefix("--") else {
            flags.rest.push(argument.clone());
            break;
        };
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_string())),
            None => (flag, None),
        };
        if switches.contains(&name) && inline.is_none() {
            flags.given.push((name.to_string(), String::new()));
        } else if values.contains(&name) {
            let value = inline.or_else(|| left.next().cloned());
            let value = value.ok_or_else(|| Failure::Usage(format!("--{name} needs a value")))?;
            flags.given.push((name.to_string(), value));
        } else {
            return Err(Failure::Usage(format!("unknown flag {argument}")));
        }
    }
    flags.rest.extend(left.cloned());
    Ok(flags)
}

impl Flags {
    pub fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| given == name)
    }

    /// The value given last.
    pub fn one(&self, name: &str) -> Option<&str> {
        self.given.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Every value given, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.given.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A number or another value with a text form.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.one(name) else { return Ok(None) };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Failure::Usage(format!("--{name} {text} is not valid"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_string).collect()
    }

    #[test]
    fn flags_end_at_the_command() {
        let flags = parse(&words("--netns a --bind=x:y --quiet --bind z:w ls --color"), &["netns", "bind"], &["quiet"])
            .unwrap();
        assert_eq!(flags.one("netns"), Some("a"));
        assert_eq!(flags.all("bind").collect::<Vec<_>>(), ["x:y", "z:w"]);
        assert!(flags.has("quiet"));
        assert_eq!(flags.rest, ["ls", "--color"]);
    }

    #[test]
    fn two_dashes_end_the_flags_once() {
        assert_eq!(parse(&words("-- --x -- y"), &[], &[]).unwrap().rest, ["--x", "--", "y"]);
    }

    #[test]
    fn wrong_flags_are_usage_failures() {
        assert!(matches!(parse(&words("--nope"), &[], &[]), Err(Failure::Usage(_))));
        assert!(matches!(parse(&words("--netns"), &["netns"], &[]), Err(Failure::Usage(_))));
        let flags = parse(&words("--count many"), &["count"], &[]).unwrap();
        assert!(flags.parsed::<u32>("count").is_err());
    }
}
