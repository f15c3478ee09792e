//! Defaults, layers and the words of errors.

use std::path::Path;

use super::layers::keys;
use super::*;

struct Fixture {
    directory: tempfile::TempDir,
    origin: Origin,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let origin = Origin { directory: directory.path().to_owned(), ..Origin::default() };
        Self { directory, origin }
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.origin.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn load(&self) -> Config {
        load(&self.origin).unwrap().config
    }

    fn error(&self) -> String {
        let error = load(&self.origin).unwrap_err().to_string();
        error.replace(&*self.directory.path().to_string_lossy(), "DIR")
    }
}

#[test]
fn the_file_with_the_defaults_is_the_defaults() {
    let parsed: Config = toml::from_str(DEFAULTS).unwrap();
    assert_eq!(parsed, Config::default());
    parsed.check().unwrap();
}

#[test]
fn every_setting_is_in_the_file_with_the_defaults() {
    let mut full = Config::default();
    full.capture.filter = Filter { pids: vec![1], cgroup: Some("/x".into()), uid: Some(1) };
    full.output.path = Some("/x".into());
    full.store.path = Some("/x".into());
    full.agent.run_as = Some("x".into());
    full.agent.runtime_dir = Some("/x".into());
    let table = toml::Table::try_from(&full).unwrap();
    let mut found = Vec::new();
    collect("", &table, &mut found);
    let mut listed = keys();
    found.sort();
    listed.sort();
    assert_eq!(found, listed);
}

fn collect(prefix: &str, table: &toml::Table, found: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => collect(&format!("{prefix}{key}."), inner, found),
            _ => found.push(format!("{prefix}{key}")),
        }
    }
}

#[test]
fn the_libraries_agree_with_the_defaults() {
    let kernel = collector_sources::KernelConfig::default();
    let capture = Capture::default();
    assert_eq!(u64::from(kernel.argv_max), capture.argv_max.0);
    assert_eq!(kernel.drain_interval, capture.drain_interval.0);
    assert_eq!(kernel.max_processes, capture.max_processes);
    assert_eq!(u64::from(kernel.rings.process), capture.rings.process.0);
    assert_eq!(u64::from(kernel.rings.network), capture.rings.network.0);
    assert_eq!(u64::from(kernel.rings.file), capture.rings.file.0);
    let store = collector_store::StoreConfig::new("x");
    assert_eq!(store.max_age, Some(Store::default().max_age.0));
    assert_eq!(store.max_bytes, Some(Store::default().max_bytes.0));
    assert_eq!((store.batch_events, store.batch_delay), (2_000, Store::default().batch_delay.0));
}

#[test]
fn later_layers_win_key_by_key() {
    let fixture = Fixture::new()
        .file(
            "collector.toml",
            "[store]\nmax_age = \"1d\"\nmax_bytes = \"1GiB\"\n[output]\nformat = \"json\"\n",
        )
        .file("conf.d/20-b.toml", "[store]\nmax_age = \"3d\"\n")
        .file("conf.d/10-a.toml", "[store]\nmax_age = \"2d\"\nbatch_events = 10\n")
        .file("conf.d/ignored.conf", "nonsense")
        .variable("COLLECTOR_STORE_BATCH_EVENTS", "20");
    let config = fixture.load();
    assert_eq!(config.store.max_age, seconds(3 * 86_400));
    assert_eq!(config.store.max_bytes, Bytes(1 << 30));
    assert_eq!(config.store.batch_events, 20);
    assert_eq!(config.output.format, Format::Json);
    assert_eq!(config.capture, Capture::default());
    let sources = load(&fixture.origin).unwrap().sources;
    assert_eq!(sources.len(), 4);
    assert!(sources[1].ends_with("10-a.toml") && sources[2].ends_with("20-b.toml"), "{sources:?}");
}

#[test]
fn a_section_that_sets_one_key_keeps_its_own_defaults_for_the_others() {
    let text = "[store.queue]\noverflow = \"drop_newest\"\n[triggers.queue]\ncapacity = 5\n";
    let mut expected = Config::default();
    expected.store.queue.overflow = Overflow::DropNewest;
    expected.triggers.queue.capacity = 5;
    assert_eq!(Fixture::new().file("collector.toml", text).load(), expected);
}

#[test]
fn named_file_replaces_the_default_ones_and_must_exist() {
    let mut fixture = Fixture::new()
        .file("collector.toml", "[log]\nlevel = \"debug\"\n")
        .file("conf.d/x.toml", "[log]\nlevel = \"trace\"\n")
        .file("mine.toml", "[output]\nformat = \"none\"\n");
    fixture.origin.named = Some(fixture.directory.path().join("mine.toml"));
    let config = fixture.load();
    assert_eq!((config.log.level.as_str(), config.output.format), ("warn", Format::None));
    fixture.origin.named = Some(Path::new("/no/such.toml").to_owned());
    assert!(fixture.error().starts_with("cannot read /no/such.toml: No such file"), "{}", fixture.error());
    fixture.origin.named = None;
    let fixture = fixture.variable("COLLECTOR_CONFIG", "/no/other.toml");
    assert!(fixture.error().starts_with("cannot read /no/other.toml"));
}

#[test]
fn environment_variables_of_every_type_are_read() {
    let config = Fixture::new()
        .variable("COLLECTOR_CAPTURE_SOURCES", "process, file")
        .variable("COLLECTOR_CAPTURE_FILTER_PIDS", "1,2")
        .variable("COLLECTOR_CAPTURE_FILTER_UID", "1000")
        .variable("COLLECTOR_CAPTURE_RINGS_FILE", "1MiB")
        .variable("COLLECTOR_CAPTURE_EXCLUDE_OWN", "false")
        .variable("COLLECTOR_STORE_PATH", "/tmp/1.db")
        .variable("COLLECTOR_OUTPUT_PATH", "123")
        .variable("COLLECTOR_OUTPUT_QUEUE_OVERFLOW", "drop_oldest")
        .variable("COLLECTOR_SERVICE_HOST", "10.0.0.1")
        .variable("COLLECTOR_PORT_443_TCP", "tcp://10.0.0.1:443")
        .load();
    assert_eq!(config.capture.sources, [Source::Process, Source::File]);
    assert_eq!(config.capture.filter, Filter { pids: vec![1, 2], cgroup: None, uid: Some(1_000) });
    assert_eq!(config.capture.rings.file, Bytes(1 << 20));
    assert!(!config.capture.exclude_own);
    assert_eq!(config.store.path.as_deref(), Some(Path::new("/tmp/1.db")));
    assert_eq!(config.output.path.as_deref(), Some(Path::new("123")));
    assert_eq!(config.output.queue.overflow, Overflow::DropOldest);
}

#[test]
fn mistakes_in_files_are_explained_with_place_and_suggestion() {
    let error = |text| Fixture::new().file("collector.toml", text).error();
    assert_eq!(
        error("[output]\n\nfromat = \"json\"\n"),
        "DIR/collector.toml:3: unknown key `fromat`, did you mean `format`?"
    );
    assert_eq!(
        error("[output]\nmax_age = \"1d\"\n"),
        "DIR/collector.toml:2: unknown key `max_age` here, did you mean `store.max_age`?"
    );
    assert_eq!(
        error("[output]\nformat = \"jsno\"\n"),
        "DIR/collector.toml:2: unknown value `jsno`, did you mean `json`? It is one of `pretty`, `json`, `none`"
    );
    assert_eq!(
        error("[banana]\nx = 1\n"),
        "DIR/collector.toml:1: unknown key `banana`: here may be `capture`, `performance`, `output`, `store`, `triggers`, `analysis`, `agent`, `log`"
    );
    assert_eq!(
        error("\n[store]\nmax_age = \"soon\"\n"),
        "DIR/collector.toml:3: \"soon\" is not a duration: write it like 250ms, 10s, 5m, 1h30m or 7d"
    );
    assert!(error("[store\n").starts_with("DIR/collector.toml:1: "));
    assert_eq!(
        Fixture::new().file("collector.toml", b"[log]\n# \xc3\xa4\n# \xe4\n").error(),
        "DIR/collector.toml:3: this line has bytes that are not UTF-8"
    );
    assert_eq!(
        error("[capture.rings]\nfile = 100\n"),
        "DIR/collector.toml:2: capture.rings.file is 100: it must be between 4KiB and 1GiB"
    );
    assert_eq!(
        error("[performance]\ninterval = \"50ms\"\n"),
        "DIR/collector.toml:2: performance.interval is 50ms: it must be between 100ms and 1h"
    );
    assert_eq!(
        error("[capture]\nsources = []\n"),
        "DIR/collector.toml:2: capture.sources is empty: name at least one of process, network, file and performance"
    );
}

#[test]
fn a_value_that_does_not_fit_the_others_is_found_in_its_file() {
    let condition =
        |id: &str, sql: &str| format!("[[triggers.conditions]]\nid = \"{id}\"\nsql = \"{sql}\"\n");
    let fixture = || {
        Fixture::new()
            .file("collector.toml", condition("a", "uid = 0"))
            .file("conf.d/1.toml", format!("\n{}\n{}", condition("b", "uid = 1"), condition("c", "uid = 2")))
    };
    let error = |text: &str| fixture().file("conf.d/2.toml", text).error();
    assert_eq!(
        error(&format!("# mine\n{}", condition("b", "uid = 0"))),
        "DIR/conf.d/2.toml:3: triggers.conditions \"b\": there is another condition with this id: rename one"
    );
    assert_eq!(
        error("triggers.conditions = [{ id = \"x\",\n sql = \"uit = 0\" }]"),
        "DIR/conf.d/2.toml:1: triggers.conditions \"x\": sql, line 1, column 1: there is no field `uit`; did you mean `uid`?"
    );
    assert_eq!(
        error("[[triggers.conditions]]\n\nsql = \"uid = 0\"\n"),
        "DIR/conf.d/2.toml:3: triggers.conditions \"\": `id` must have 1 to 128 bytes without control characters"
    );
    assert_eq!(
        fixture().file("conf.d/2.toml", "").file("conf.d/1.toml", "[triggers]\nmax_waiting = 0").error(),
        "DIR/conf.d/1.toml:2: triggers.max_waiting is 0: it must be between 1 and 1048576"
    );
    let fixture = fixture().file("conf.d/2.toml", "[triggers]\nmax_waiting = 1");
    assert_eq!(
        fixture.variable("COLLECTOR_TRIGGERS_MAX_WAITING", "0").error(),
        "environment variable COLLECTOR_TRIGGERS_MAX_WAITING: triggers.max_waiting is 0: it must be between 1 and 1048576"
    );
    assert_eq!(
        error("[triggers.conditions]\nid = \"x\"\n"),
        "DIR/conf.d/2.toml:1: this is a list of tables: put its name in double brackets, `[[…]]`"
    );
}

#[test]
fn mistakes_in_the_environment_are_explained() {
    let error = |name, value| Fixture::new().variable(name, value).error();
    assert_eq!(
        error("COLLECTOR_STORE_MAXAGE", "1d"),
        "environment variable COLLECTOR_STORE_MAXAGE: there is no such setting, did you mean COLLECTOR_STORE_MAX_AGE?"
    );
    assert_eq!(
        error("COLLECTOR_OUTPUT_FORMAT", "xml"),
        "environment variable COLLECTOR_OUTPUT_FORMAT: unknown value `xml`: it is one of `pretty`, `json`, `none`"
    );
    let sources = error("COLLECTOR_CAPTURE_FILTER_PIDS", "init");
    assert!(
        sources.starts_with("environment variable COLLECTOR_CAPTURE_FILTER_PIDS: invalid type"),
        "{sources}"
    );
}

/// What is wrong with a configuration that has this, or `Ok` with the number of its conditions.
fn detection(text: &str) -> Result<usize, String> {
    let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
    config.check().map_err(|error| error.to_string())?;
    let built = Detection::new(&config.triggers, &config.analysis).map_err(|error| error.to_string())?;
    Ok(built.map_or(0, |built| built.manager.statistics().conditions))
}

#[test]
fn the_examples_in_the_file_with_the_defaults_work() {
    let mut in_list = false;
    let text: String = DEFAULTS
        .lines()
        .map(|line| {
            let bare = line.trim_start_matches("# ");
            in_list = bare.starts_with("[[") || (in_list && !bare.is_empty());
            let is_key = bare.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
            if in_list && (bare.starts_with("[[") || is_key) { bare } else { line }
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(detection(&text), Ok(1));
    assert_ne!(toml::from_str::<Config>(&text).unwrap().analysis.rules, [], "{text}");
}

#[test]
fn every_way_to_say_when_is_a_condition() {
    let text: String = [
        "sql = \"uid = 0\"",
        "process_name = \"nc*\"",
        "executable = \"/dev/shm/\"",
        "found = \"missing_executable\"",
        "found = \"hash_mismatch\"",
        "found = \"suspicious_parent_child\"",
        "usage_above = { cpu_percent = 90, memory = \"2GiB\" }",
        "usage_above = { cpu_percent = 90 }",
        "usage_above = { memory = \"2GiB\" }",
    ]
    .iter()
    .enumerate()
    .map(|(at, when)| format!("[[triggers.conditions]]\nid = \"{at}\"\n{when}\n"))
    .collect();
    assert_eq!(detection(&text), Ok(9));
}

#[test]
fn slow_conditions_do_not_make_the_capture_wait() {
    assert_eq!(Config::default().triggers.queue.overflow, Overflow::DropOldest);
}

#[test]
fn retries_do_not_keep_a_chain_from_other_work() {
    let config = Config::default();
    let analysis = config.analysis.config(&[]).unwrap();
    let pauses: Duration = (0..analysis.max_retry_attempts).map(|_| analysis.max_retry_delay).sum();
    assert!(pauses <= Duration::from_secs(1), "{pauses:?}");
}

#[test]
fn conditions_and_rules_that_cannot_work_are_named() {
    let condition = |rest: &str| format!("[[triggers.conditions]]\nid = \"c\"\n{rest}\n");
    let cases = [
        (condition(""), "triggers.conditions \"c\": it must have exactly one of `sql`"),
        (
            condition("sql = \"uid = 0\"\nprocess_name = \"x\""),
            "triggers.conditions \"c\": it must have exactly",
        ),
        (
            condition("usage_above = {}"),
            "triggers.conditions \"c\": `usage_above` must have `cpu_percent`, `memory` or both",
        ),
        (condition("sql = \"banana = 0\""), "triggers.conditions \"c\": "),
        (condition("sql = \"uid = \""), "triggers.conditions \"c\": "),
        (condition("process_name = \"\""), "triggers.conditions \"c\": "),
        (condition("sql = \"uid = 0\"\nchain = \"x\""), "triggers.conditions \"c\": there is no chain \"x\""),
        (
            condition("sql = \"uid = 0\"\nseverity = \"high\"")
                + "[[analysis.chains]]\nid = \"verdict\"\nstages = [\"collection\"]",
            "triggers.conditions \"c\": it has a severity, but its chain \"verdict\" has no stage `alerting`",
        ),
        (
            condition("sql = \"uid = 0\"") + &condition("sql = \"uid = 1\""),
            "triggers.conditions \"c\": there is another condition with this id",
        ),
        (
            condition("sql = \"uid = 0\"\nseverity = \"low\"")
                + "[[analysis.rules]]\nid = \"c\"\nseverity = \"low\"\npaths = [\"/x\"]",
            "analysis.rules \"c\": there is another rule, or a condition with a severity, with this id",
        ),
        ("[[analysis.chains]]\nstages = [\"collection\"]".to_owned(), "analysis.chains \"\": `id` must have"),
        (
            condition("sql = \"uid = 0\"") + "[[analysis.chains]]\nid = \"verdict\"\ntime_limit = \"20s\"",
            "analysis.chains \"verdict\": time_limit 20s must be more than 20s200ms: twice analysis.hash_time_limit",
        ),
        (
            "[[analysis.rules]]\nid = \"r\"\nseverity = \"low\"".to_owned(),
            "analysis.rules \"r\": it must have",
        ),
        (
            "[[analysis.rules]]\nid = \"r\"\nseverity = \"low\"\npaths = [\"tmp\"]".to_owned(),
            "analysis.rules \"r\": the path \"tmp\" is not absolute",
        ),
        (
            "[[analysis.chains]]\nid = \"x\"\nstages = [\"alerting\", \"detection\"]".to_owned(),
            "analysis.chains \"x\": stages has `alerting` without `detection` before it",
        ),
        ("[[analysis.chains]]\nid = \"x\"\nstages = []".to_owned(), "analysis.chains \"x\": stages is empty"),
        (
            "[[analysis.chains]]\nid = \"x\"\n[[analysis.chains]]\nid = \"x\"".to_owned(),
            "analysis.chains \"x\": there is another chain with this id",
        ),
        (
            "[[analysis.chains]]\nid = \"x\"\ntime_limit = \"0s\"".to_owned(),
            "analysis.chains \"x\": time_limit is 0s",
        ),
    ];
    for (text, message) in cases {
        let error = detection(&text).unwrap_err();
        assert!(error.starts_with(message), "{error} for {text}");
    }
}

#[test]
fn conditions_of_several_files_are_joined() {
    let condition = |id: &str| format!("[[triggers.conditions]]\nid = \"{id}\"\nsql = \"uid = 0\"\n");
    let config =
        Fixture::new().file("collector.toml", condition("a")).file("conf.d/b.toml", condition("b")).load();
    let ids: Vec<_> = config.triggers.conditions.iter().map(|condition| &*condition.id).collect();
    assert_eq!(ids, ["a", "b"]);
}

#[test]
fn a_pipe_among_the_files_is_an_error_and_no_wait() {
    let fixture = Fixture::new().file("conf.d/a.toml", "");
    let pipe = fixture.directory.path().join("conf.d/b.toml");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(fixture.error(), "cannot read DIR/conf.d/b.toml: it is no file; take it out of conf.d");
}
