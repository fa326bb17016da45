use std::collections::BTreeMap;

use aqueduct_model::{BadRowPolicy, Delivery, ErrorKind};

use super::fake_plugins::catalogue;
use super::*;
use crate::definition::Diagnostic;

fn plan_yaml(text: &str) -> Result<Planned, Diagnostics> {
    plan_text("flow.yaml", text, &catalogue(), &PlanOptions { state_root: "state".into(), ..PlanOptions::default() })
}

fn planned(text: &str) -> Planned {
    plan_yaml(text).unwrap_or_else(|found| panic!("{found}"))
}

fn refused(text: &str) -> Vec<Diagnostic> {
    plan_yaml(text).expect_err("the flow is wrong").0
}

const CHAIN: &str = "
flow: chain
delivery: exactly_once
checkpoint: { interval: 250ms, store: redb }
channel: { bytes: 1MiB }
tasks:
  - { id: store, plugin: DuckDBOutput, from: [route.big, keep], config: { path: x.duckdb } }
  - { id: keep, plugin: filter, from: orders, config: { where: 'x > 1' }, tables: orders, on_bad_row: drop, retry: { max: 2 } }
  - { id: route, plugin: Switch, from: orders, config: { cases: [{ port: small, when: a }, { port: big, when: b }] } }
  - { id: orders, plugin: FakeSource, config: { dataset: orders, rows: 5, changes: true }, delay: 2s }
";

#[test]
fn a_plan_is_in_topological_order_with_defaults() {
    let Planned { plan, warnings, .. } = planned(CHAIN);
    let ids: Vec<&str> = plan.tasks.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["orders", "keep", "route", "store"]);
    for (index, task) in plan.tasks.iter().enumerate() {
        assert!(task.inputs.iter().all(|edge| edge.task < index), "{} comes after its inputs", task.id);
    }
    let ports: Vec<(usize, usize)> = plan.tasks[3].inputs.iter().map(|edge| (edge.task, edge.port)).collect();
    assert_eq!(ports, [(2, 1), (1, 0)], "in the order of `from`");
    assert_eq!(plan.delivery, Delivery::ExactlyOnce);
    assert_eq!(plan.state_dir, Path::new("state/chain"));
    assert_eq!((plan.batch_rows, plan.channel.bytes, plan.channel.rows), (8192, 1 << 20, 32_768));
    assert_eq!(plan.checkpoint.interval.as_millis(), 250);
    let keep = &plan.tasks[1];
    assert_eq!((keep.entry.name, keep.tables.as_slice()), ("Filter", ["orders".to_owned()].as_slice()));
    assert_eq!((keep.on_bad_row, keep.max_bad_rows, keep.retry.unwrap().max), (BadRowPolicy::Drop, 1_000, 2));
    assert_eq!(plan.tasks[0].delay.as_secs(), 2);
    let unread: Vec<&str> = warnings.0.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(unread.len(), 2, "{unread:?}");
    assert!(unread[0].contains("`rest`") && unread[1].contains("`small`"), "{unread:?}");
}

#[test]
fn a_source_in_the_settings_of_another_takes_its_place() {
    let flow = |config: &str| {
        format!(
            "flow: x\ntasks:\n  - {{ id: a, plugin: Each, config: {{ {config} }} }}\n  - {{ id: z, plugin: ConsoleOutput, from: a }}\n"
        )
    };
    let Planned { plan, .. } = planned(&flow("query: { plugin: FakeSource, config: { dataset: orders, rows: 5 } }"));
    let task = &plan.tasks[0];
    assert_eq!((task.id.as_str(), task.entry.name, &task.config["rows"]), ("a", "FakerInput", &5.into()));
    assert_eq!(planned(&flow("items: [1]")).plan.tasks[0].entry.name, "Each");
    for (config, setting, said) in [
        ("query: { plugin: FakerInptu, config: { dataset: orders } }", "config.query.plugin", "there is no plugin"),
        ("query: { plugin: Filter, config: { where: x } }", "config.query.plugin", "is no source"),
        ("query: { plugin: Each, config: { items: [1] } }", "config.query.plugin", "is no source"),
        ("items: [1], query: { plugin: FakerInput, config: { dataset: orders, rows: 1 } }", "config.items", "both"),
        (
            "query: { plugin: FakerInput, dataset: orders, config: { dataset: orders } }",
            "config.query.dataset",
            "unknown",
        ),
        ("query: { plugin: FakerInput, config: { dataset: orders, rwos: 1 } }", "config.rwos", "unknown setting"),
        ("query: { config: { dataset: orders } }", "config.query.plugin", "missing"),
        ("query: [a]", "config.query", "Each"),
    ] {
        let found = refused(&flow(config));
        let hit = found.iter().find(|d| d.setting.as_deref() == Some(setting) && d.message.contains(said));
        assert!(hit.is_some_and(|d| d.line == 3 && !d.hint.is_empty()), "{config}: {found:#?}");
    }
}

/// The turn of each task of a flow: sources by their ids, and what else is given.
fn turns(head: &str, sources: &str, tasks: &str) -> Result<BTreeMap<String, usize>, Vec<Diagnostic>> {
    let mut text = format!("flow: x\n{head}tasks:\n");
    for source in sources.split_whitespace() {
        let (id, config) = source.split_once(':').unwrap_or((source, "rows: 5"));
        let config = config.replace('=', ": ").replace(',', ", ").replace("endless", "seed: 1");
        text.push_str(&format!("  - {{ id: {id}, plugin: FakerInput, config: {{ dataset: orders, {config} }} }}\n"));
    }
    for task in tasks.lines() {
        // `Against x` is short for a task whose rules refer to x.
        let task = match task.split_once("Against ") {
            Some((before, input)) => {
                format!("{before}Checker, config: {{ rules: [{{ check: {{ reference: {{ input: {input} }} }} }}] }}")
            }
            None => task.to_owned(),
        };
        text.push_str(&format!("  - {{ {} }}\n", task.trim()));
    }
    let planned = plan_yaml(&text).map_err(|found| found.0)?;
    Ok(planned.plan.tasks.iter().map(|task| (task.id.clone(), task.turn)).collect())
}

#[test]
fn what_is_read_first_has_an_earlier_turn_than_what_waits_for_it() {
    let tasks = "id: c, from: [rows, keep], plugin: Against keep
                 id: keep, plugin: Filter, from: known, config: { where: x }
                 id: z, plugin: ConsoleOutput, from: c
                 id: y, plugin: ConsoleOutput, from: other";
    let found = turns("", "rows known other", tasks).unwrap();
    let at = |id: &str| found[id];
    assert_eq!((at("known"), at("keep")), (0, 0));
    // What nobody waits for comes last, so that it never holds anything up: not even when it never ends.
    assert_eq!((at("rows"), at("c"), at("z"), at("other"), at("y")), (1, 1, 1, 1, 1));
    assert!(turns("", "rows:endless known other:endless", tasks).is_ok());
}

#[test]
fn what_is_read_first_may_wait_itself() {
    let tasks = "id: c, from: [b, a], plugin: Against a
                 id: d, from: [rows, c], plugin: Against c
                 id: z, plugin: ConsoleOutput, from: d";
    let found = turns("", "rows a b", tasks).unwrap();
    assert_eq!((found["a"], found["b"], found["c"], found["rows"], found["d"]), (0, 1, 1, 2, 2));
}

#[test]
fn serial_pipelines_have_their_stages_one_after_the_other() {
    let tasks = "id: z, plugin: ConsoleOutput, from: one
                 id: c, from: [rows, known], plugin: Against known
                 id: y, plugin: ConsoleOutput, from: c
                 id: w, plugin: ConsoleOutput, from: last";
    let found = turns("execution: serial\n", "one rows known last", tasks).unwrap();
    assert_eq!((found["one"], found["known"], found["rows"], found["last"]), (0, 1, 2, 3));
}

#[test]
fn inputs_that_cannot_be_read_first_are_refused() {
    const INPUT: &str = "config.rules[0].check.reference.input";
    let one = "id: c, from: [rows, known], plugin: Against known
               id: z, plugin: ConsoleOutput, from: c";
    for (sources, tasks, setting, said) in [
        ("rows known:endless", one.to_owned(), INPUT, "`known` (FakerInput) never ends"),
        ("rows known:rows=5,changes=true", one.to_owned(), INPUT, "emits updates and deletes"),
        ("rows known", one.replace("Against known", "Against knwn"), INPUT, "`knwn` is no input"),
        ("rows known", one.replace("[rows, known]", "known"), INPUT, "no rows are left"),
        (
            "known",
            one.replace("rows,", "f,") + "\nid: f, plugin: Filter, from: known, config: { where: x }",
            INPUT,
            "by another input as well",
        ),
        (
            "a b",
            "id: c, from: [a, b], plugin: Against a
             id: d, from: [a, b], plugin: Against b
             id: z, plugin: ConsoleOutput, from: [c, d]"
                .to_owned(),
            "from",
            "wait for each other",
        ),
    ] {
        let found = turns("", sources, &tasks).expect_err("it cannot be read first");
        let hit = found.iter().find(|d| d.setting.as_deref() == Some(setting) && d.message.contains(said));
        assert!(hit.is_some_and(|d| !d.hint.is_empty()), "{said}: {found:#?}");
    }
}

#[test]
fn a_plan_is_shown_without_settings() {
    let Planned { plan, .. } = planned(CHAIN);
    let text = render(&plan);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "flow chain · exactly_once");
    assert_eq!(lines[1], "checkpoint every 250ms in redb, state in state/chain");
    assert!(lines[4].starts_with("orders  FakerInput    source"), "{text}");
    assert!(text.contains("route.big, keep") && text.ends_with("orders → store: exactly_once\n"), "{text}");
    assert!(!text.contains("x.duckdb"));
}

#[test]
fn all_mistakes_are_reported_at_once_in_order() {
    let found = refused(
        "flow: x\nbatch_row: 5\ntasks:\n  - { id: a, plugin: FakerInput, config: { dataset: orders, rwos: 1, sed: 2 } }\n  - { \
         id: b, plugin: Fliter, from: a }\n  - { id: z, plugin: ConsoleOutput, from: nobody }\n",
    );
    let places: Vec<(usize, &str)> = found.iter().map(|d| (d.line, d.setting.as_deref().unwrap_or(""))).collect();
    let expected = [(2, "batch_row"), (4, "config.rwos"), (4, "config.sed"), (5, "plugin"), (6, "from")];
    assert_eq!(places, expected, "{found:#?}");
    assert!(found.iter().all(|d| !d.message.is_empty() && !d.hint.is_empty() && d.path == "flow.yaml"));
}

#[test]
fn a_diagnostic_shows_the_line_and_points_at_the_place() {
    let found = refused("flow: x\ntasks:\n  - id: a\n    confg: {}\n    plugin: FakerInput\n");
    let text = found.iter().find(|d| d.message.contains("confg")).unwrap().to_string();
    let expected = "flow.yaml:4:5: error[config]: task a: unknown key `confg` in the task `a`\n    4 |     confg: {}\n      |     \
                    ^^^^^\n      help: did you mean `config`?";
    assert_eq!(text, expected);
    let error = aqueduct_model::Error::from(Diagnostics(found));
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint().is_some() && error.to_string().starts_with("flow.yaml:"), "{error:?}");
}

#[test]
fn delivery_is_the_least_of_all_pairs() {
    let flow = |asked: &str, source: &str| {
        format!(
            "flow: x\n{asked}tasks:\n  - {{ id: q, plugin: QueueInput, config: {{ {source} }} }}\n  - {{ id: z, plugin: DuckDBOutput, from: q, config: {{ path: x }} }}\n"
        )
    };
    assert_eq!(planned(&flow("", "overlap: true")).plan.delivery, Delivery::AtLeastOnce);
    assert_eq!(planned(&flow("", "overlap: false")).plan.delivery, Delivery::BestEffort);
    let found = refused(&flow("delivery: exactly_once\n", "overlap: true"));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].line, found[0].column, found[0].task.as_deref()), (2, 11, Some("q")));
    assert!(found[0].message.contains("twice after a restart"), "{}", found[0]);
    let planned = planned(&flow("delivery: at_least_once\n", "overlap: true"));
    assert!(render(&planned.plan).contains("q → z: at_least_once (q: it may read some rows twice"));
}

#[test]
fn secrets_never_reach_a_message() {
    let text = "flow: x\nparams: { pw: \"${env:PW}\" }\ntasks:\n  - { id: q, plugin: QueueInput, config: { overlap: \"${env:PW}\", password: 'literal-pw', nope: 1 } }\n  - { id: z, plugin: ConsoleOutput, from: q, description: literal-pw }\n";
    let env = |name: &str| (name == "PW").then(|| "hunter2hunter2".to_owned());
    let (params, file) = (BTreeMap::new(), |_: &Path| Ok(String::new()));
    let lookup = Lookup { params: &params, env: &env, file: &file };
    let document = Document::parse(Source::new("flow.yaml", text.as_bytes()).unwrap()).unwrap();
    let found = plan_document(&document, &catalogue(), &PlanOptions::default(), &lookup).unwrap_err();
    let everything = format!("{found} {}", serde_json::to_string(&found).unwrap());
    assert!(!everything.contains("hunter2") && !everything.contains("literal-pw"), "{everything}");
    assert!(everything.contains("invalid type: string \"***\""), "{everything}");
    assert!(found.0.iter().any(|d| d.severity == Severity::Warning && d.hint.contains("${env:NAME}")));
}

#[test]
fn a_setting_deep_in_a_list_is_found() {
    let found = refused(
        "flow: x\ntasks:\n  - { id: a, plugin: FakerInput, config: { dataset: orders } }\n  - id: s\n    plugin: Switch\n    from: a\n    config:\n      cases:\n        - { port: p, when: x }\n        - { port: q, wehn: x }\n  - { id: z, plugin: ConsoleOutput, from: s }\n",
    );
    assert_eq!((found[0].line, found[0].column, found[0].hint.as_str()), (10, 22, "did you mean `when`?"), "{found:?}");
    assert_eq!(found[0].setting.as_deref(), Some("config.cases[1].wehn"));
}

#[test]
fn a_join_needs_both_inputs_and_every_circle_is_named() {
    let found = refused(
        "flow: x\ntasks:\n  - { id: a, plugin: FakerInput, config: { dataset: orders } }\n  - { id: j, plugin: Join, from: a }\n  - { id: z, plugin: ConsoleOutput, from: j }\n",
    );
    assert_eq!(found[0].message, "Join takes 2 inputs, found 1");
    let found = refused(
        "flow: x\ntasks:\n  - { id: a, plugin: Union, from: b }\n  - { id: b, plugin: Union, from: a }\n  - { id: c, plugin: Union, from: d }\n  - { id: d, plugin: Union, from: c }\n  - { id: z, plugin: DuckDBOutput, from: [a, c], config: { path: p } }\n",
    );
    let circles: Vec<&str> =
        found.iter().filter_map(|d| d.message.split_once("circle: ")).map(|(_, ids)| ids).collect();
    assert_eq!(circles, ["a → b → a", "c → d → c"]);
}

#[test]
fn an_operator_that_takes_inserts_only_or_needs_the_end_is_refused_behind_what_does_not_fit() {
    let flow = |source: &str| {
        format!(
            "flow: x\ntasks:\n  - {{ id: a, plugin: FakerInput, config: {{ dataset: orders{source} }} }}\n  - {{ id: f, plugin: Union, from: a }}\n  - {{ id: r, plugin: Reservoir, from: f }}\n  - {{ id: z, plugin: ConsoleOutput, from: r }}\n"
        )
    };
    planned(&flow(", rows: 5"));
    let messages = |source: &str| refused(&flow(source)).into_iter().map(|d| d.message).collect::<Vec<_>>().join("\n");
    let changes = messages(", rows: 5, changes: true");
    assert!(changes.contains("takes inserts only, but the task `a` (FakerInput) emits updates"), "{changes}");
    let endless = messages("");
    assert!(endless.contains("waits for the end of its input, but the task `a` (FakerInput) never ends"), "{endless}");
    assert_eq!(refused(&flow(", changes: true")).len(), 2);
}

#[test]
fn an_operator_that_waits_for_event_time_is_refused_behind_an_endless_source_that_says_nothing_of_it() {
    let flow = |orders: &str, tasks: &str, from: &str| {
        format!(
            "flow: x\ntasks:\n  - {{ id: a, plugin: FakerInput, config: {{ dataset: orders{orders} }} }}\n  - {{ id: b, plugin: FakerInput, config: {{ dataset: orders }} }}\n  - {{ id: t, plugin: Watermark, from: b, config: {{ time: created_at }} }}\n{tasks}  - {{ id: j, plugin: Join, from: [{from}], config: {{ on: [id], as_of: {{ left: l, right: r }} }} }}\n  - {{ id: z, plugin: ConsoleOutput, from: j }}\n"
        )
    };
    let timed = "  - { id: f, plugin: Filter, from: a, config: { where: x } }\n  - { id: s, plugin: Watermark, from: f, config: { time: created_at } }\n";
    planned(&flow("", timed, "s, t"));
    planned(&flow(", rows: 5", "", "a, t"));
    let found = refused(&flow("", "", "a, t"));
    let [complaint] = found.as_slice() else { panic!("one is refused: {found:#?}") };
    assert_eq!((complaint.task.as_deref(), complaint.line), (Some("j"), 6));
    assert!(complaint.message.contains("the task `a` (FakerInput), which never ends"), "{complaint}");
    assert!(complaint.hint.contains("plugin: Watermark, from: a"), "{complaint}");
    // Where rows with event time meet rows without, nothing is known of them together.
    let found = refused(&flow("", "  - { id: u, plugin: Union, from: [a, t] }\n", "u, t"));
    assert!(found.len() == 1 && found[0].message.contains("`a` (FakerInput)"), "{found:#?}");
    let found = refused(&flow(", rows: 5, changes: true", "", "a, t"));
    assert!(found[0].message.contains("takes inserts only") && found[0].hint.contains("mode: changelog"), "{found:#?}");
}

#[test]
fn an_operator_that_makes_updates_is_refused_before_what_takes_inserts_only() {
    let flow = |task: &str| {
        format!(
            "flow: x\ntasks:\n  - {{ id: a, plugin: FakerInput, config: {{ dataset: orders, rows: 5 }} }}\n  - {{ id: p, plugin: Pivot, from: a }}\n{task}"
        )
    };
    let sink = |mode: &str| {
        flow(&format!("  - {{ id: z, plugin: DuckDBOutput, from: p, config: {{ path: x, mode: {mode} }} }}\n"))
    };
    planned(&sink("upsert"));
    let found = refused(&sink("append"));
    assert!(found[0].message.contains("inserts only, but the task `p` (Pivot) emits updates"), "{found:?}");
    let found =
        refused(&flow("  - { id: r, plugin: Reservoir, from: p }\n  - { id: z, plugin: ConsoleOutput, from: r }\n"));
    assert!(found[0].message.contains("inserts only, but the task `p` (Pivot) emits updates"), "{found:?}");
}

#[test]
fn the_editor_schema_knows_keys_and_settings() {
    let schema = crate::definition::json_schema(&catalogue());
    let text = schema.to_string();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["checkpoint"]["properties"]["interval"]["default"], "1s");
    assert_eq!(schema["$defs"]["FakerInput"]["properties"]["rows"]["description"], "How many rows.");
    assert!(text.contains("#/$defs/FakerInput.Dataset") && schema["$defs"]["FakerInput.Dataset"].is_object());
    assert_eq!(text.matches("\"$ref\":\"#/$defs/").count(), text.matches("\"$ref\"").count());
}

/// The corpus of the system test, here with plugins that have nothing behind them: quick enough to run at every change.
#[test]
fn every_bad_flow_is_answered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/bad_flows");
    let table = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
    let mut wrong = Vec::new();
    for row in table.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [file, line, column, cause, fix] = cells[..] else { panic!("five cells: {row}") };
        let found = match plan_file(&folder.join(file), &catalogue(), &PlanOptions::default()) {
            Ok(_) => {
                wrong.push(format!("{file}: accepted"));
                continue;
            }
            Err(found) => found,
        };
        let fits = |d: &Diagnostic| {
            (d.line.to_string(), d.column.to_string()) == (line.into(), column.into())
                && d.message.contains(cause)
                && d.hint.contains(fix)
        };
        let complete = found.0.iter().all(|d| d.path.ends_with(file) && !d.message.is_empty() && !d.hint.is_empty());
        if !complete || !found.0.iter().any(fits) {
            wrong.push(format!("expected {row}\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}
