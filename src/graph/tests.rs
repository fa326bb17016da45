use aqueduct_engine::planner::{PlanOptions, plan_text};

use super::layout::{BOX_HEIGHT, layout};
use super::*;

const FLOW: &str = "flow: orders
tasks:
  - { id: orders, plugin: FakerInput, config: { dataset: orders, rows: 9, seed: 1 } }
  - id: route
    plugin: Switch
    from: orders
    config: { cases: [{ port: big, when: amount > 500 }], default: rest }
  - { id: checked, plugin: Filter, from: route.big, tables: [\"or*\", \"x<y\"], config: { where: amount > 1 } }
  - { id: both, plugin: Union, from: [orders, checked] }
  - { id: a_store_with_a_long_name, plugin: SQLiteOutput, from: both, config: { path: a.db } }
  - { id: rest, plugin: ConsoleOutput, from: [route.rest, orders] }
";

fn graph() -> Graph {
    let catalogue = crate::catalogue().expect("a catalogue");
    let planned = plan_text("flow.yaml", FLOW, &catalogue, &PlanOptions::default()).expect("a sound flow");
    Graph::of(&planned.plan)
}

#[test]
fn ports_and_tables_stand_on_the_edges() {
    let labels: Vec<String> = graph().edges.into_iter().map(|edge| edge.label).collect();
    assert_eq!(labels, ["", "big · only or*, x<y", "", "", "", "rest", ""]);
}

#[test]
fn mermaid_and_dot_name_every_task_and_escape_patterns() {
    let graph = graph();
    let text = mermaid(&graph);
    assert!(text.starts_with("flowchart LR\n    t0([\"orders<br/>FakerInput\"]):::source\n"), "{text}");
    assert!(text.contains("-->|\"big · only or#42;, x#lt;y\"| "), "{text}");
    let text = dot(&graph);
    assert!(text.contains("[label=\"a_store_with_a_long_name\\nSQLiteOutput\" shape=cylinder"), "{text}");
    assert_eq!(text.matches(" -> ").count(), 7, "{text}");
}

#[test]
fn nothing_lies_on_a_box_and_edges_run_to_the_right() {
    let graph = graph();
    let drawing = layout(&graph);
    for (i, one) in drawing.boxes.iter().enumerate() {
        assert!(one.x >= 0.0 && one.x + one.width <= drawing.width && one.y + BOX_HEIGHT / 2.0 <= drawing.height);
        let others = drawing.boxes[i + 1..].iter().chain(drawing.passes.iter().flatten());
        for other in others {
            let apart_x = one.x + one.width < other.x || other.x + other.width < one.x;
            assert!(apart_x || (one.y - other.y).abs() >= BOX_HEIGHT / 2.0, "{one:?} and {other:?}");
        }
    }
    for edge in &graph.edges {
        let (from, to) = (drawing.boxes[edge.from], drawing.boxes[edge.to]);
        assert!(from.x + from.width < to.x, "{} to {}", edge.from, edge.to);
    }
    assert!(drawing.passes.iter().any(|passes| !passes.is_empty()), "a long edge passes a column");
}

#[test]
fn the_drawing_is_well_formed_and_says_what_the_file_says() {
    let text = svg(&graph());
    assert!(text.contains("big · only or*, x&lt;y") && !text.contains("x<y"), "{text}");
    assert_eq!(text.matches("class=\"edge\"").count(), 7);
    assert_eq!(text.matches("class=\"box").count(), 6);
    let opened = text.matches("<text ").count();
    assert_eq!(opened, text.matches("</text>").count());
}
