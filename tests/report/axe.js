// Run inside a frame by test_accessibility.py after axe-core: what it finds goes to the page around the frame.
const rules = { runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] } };
axe.run(document, rules).then((found) => {
  const told = (list) => list.map((v) => ({ id: v.id, impact: v.impact, help: v.help,
    nodes: v.nodes.map((n) => n.target.join(" ") + " | " + n.html.slice(0, 160) + " | " + (n.failureSummary || "").slice(0, 300)) }));
  const all = { version: axe.version, passes: found.passes.length, violations: told(found.violations), open: told(found.incomplete) };
  parent.document.body.dataset["w" + innerWidth] = JSON.stringify(all);
}).catch((error) => { parent.document.body.dataset["w" + innerWidth] = JSON.stringify({ error: String(error) }); });
