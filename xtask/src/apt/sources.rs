//! Which Debian mirrors and suites the machine is configured for.

use std::fs;
use std::path::PathBuf;

/// A suite of a Debian mirror that the machine is configured for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) mirror: String,
    pub(crate) suite: String,
}

/// Reads /etc/apt; what cannot be read simply does not count, since there is a default mirror.
pub(crate) fn configured() -> Vec<Source> {
    let parts = fs::read_dir("/etc/apt/sources.list.d");
    let mut files: Vec<PathBuf> =
        parts.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.insert(0, PathBuf::from("/etc/apt/sources.list"));
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(parse_one_line_sources(&text)),
            Some("sources") => sources.extend(parse_deb822_sources(&text)),
            _ => {}
        }
    }
    sources.retain(|source| source.mirror.ends_with("/debian"));
    sources
}

/// `deb [options] URI SUITE COMPONENT…`
fn parse_one_line_sources(text: &str) -> Vec<Source> {
    let parse = |line: &str| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let mirror = words.next()?.trim_end_matches('/').to_owned();
        Some(Source { mirror, suite: words.next()?.to_owned() })
    };
    text.lines().filter_map(parse).collect()
}

/// Paragraphs of `Types:`, `URIs:`, `Suites:` …
fn parse_deb822_sources(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for paragraph in text.split("\n\n") {
        let words = |name: &str| -> Vec<&str> {
            let value = paragraph.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then_some(value)
            });
            value.unwrap_or_default().split_whitespace().collect()
        };
        if !words("Types").contains(&"deb") || words("Enabled").contains(&"no") {
            continue;
        }
        for mirror in words("URIs") {
            let mirror = mirror.trim_end_matches('/');
            sources.extend(
                words("Suites")
                    .into_iter()
                    .map(|suite| Source { mirror: mirror.to_owned(), suite: suite.to_owned() }),
            );
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(mirror: &str, suite: &str) -> Source {
        Source { mirror: mirror.into(), suite: suite.into() }
    }

    #[test]
    fn deb822_paragraphs_give_every_suite() {
        let text = "Types: deb\n# comment\nURIs: http://mirror.example/debian/\nSuites: bookworm bookworm-updates\n\
                    Components: main\n\nTypes: deb-src\nURIs: http://mirror.example/debian\nSuites: sid\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: sid\n";
        let mirror = "http://mirror.example/debian";
        assert_eq!(
            parse_deb822_sources(text),
            [source(mirror, "bookworm"), source(mirror, "bookworm-updates")]
        );
    }

    #[test]
    fn one_line_sources_may_have_options() {
        let text = "# deb http://no.example/debian sid main\ndeb [arch=amd64 signed-by=/k.gpg] http://a.example/debian trixie main\n\
                    deb http://b.example/debian/ sid main contrib\ndeb-src http://c.example/debian sid main\n";
        let expected =
            [source("http://a.example/debian", "trixie"), source("http://b.example/debian", "sid")];
        assert_eq!(parse_one_line_sources(text), expected);
    }
}
