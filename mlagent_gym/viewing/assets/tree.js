// The tree of states: where several trajectories passed through the same state it branches.

const MAX_NODES = 400;

function grow(episodes) {
  // Returns {roots, branches}: nodes by state id, each with the steps that lead to it.
  const nodes = new Map();
  const at = (id) => {
    if (!nodes.has(id)) nodes.set(id, { id, next: [], from: null, picks: [], step: null });
    return nodes.get(id);
  };
  for (const one of episodes) {
    if (!one.sequence) continue;
    one.steps.forEach((step, i) => {
      if (!step.source || !step.target || step.source === step.target) return;
      const before = at(step.source), after = at(step.target);
      after.picks.push([one, i]);
      if (after.from || after === before) return;
      for (let up = before; up; up = up.from) if (up === after) return; // no circles
      after.from = before;
      after.step = step;
      before.next.push(after);
    });
  }
  const all = [...nodes.values()];
  return { roots: all.filter((node) => !node.from), size: all.length, branches: all.some((node) => node.next.length > 1) };
}

function tree(episodes, chosen, onPick) {
  const { roots, size, branches } = grow(episodes);
  if (!branches) return null;
  if (size > MAX_NODES) {
    return h("p", { class: "muted" }, `These trajectories pass through ${size} states, too many to draw. Filter them, or open one file.`);
  }
  const dx = 46, dy = 26, places = new Map();
  let leaves = 0, depth = 0;
  for (const root of roots) place(root, 0);
  function place(node, level) {
    depth = Math.max(depth, level);
    const rows = node.next.map((child) => place(child, level + 1));
    const row = rows.length ? (rows[0] + rows[rows.length - 1]) / 2 : leaves++;
    places.set(node, [20 + level * dx, 18 + row * dy]);
    return row;
  }
  const edges = [], dots = [];
  const mine = new Set(chosen ? chosen.steps.flatMap((step) => [step.source, step.target]) : []);
  for (const [node, [px, py]] of places) {
    const on = mine.has(node.id) ? "on" : "";
    if (node.from) {
      const [fx, fy] = places.get(node.from), mid = (fx + px) / 2;
      edges.push(svg("path", { class: `edge ${on}`, d: `M${fx},${fy}C${mid},${fy} ${mid},${py} ${px},${py}` }));
    }
    const step = node.step;
    const label = step
      ? `${step.action}: ${OUTCOMES[step.outcome] ? OUTCOMES[step.outcome][0] : ""}, score ${number(step.score)}; ${node.picks.length} ${node.picks.length === 1 ? "trajectory" : "trajectories"}`
      : "start";
    dots.push(svg("circle", {
      class: `dot ${step ? kindOf(step) : "start"} ${on}`, cx: px, cy: py, r: Math.min(10, 5 + node.picks.length / 2),
      tabindex: step ? 0 : null, role: step ? "button" : null, "aria-label": label,
      onclick: () => step && onPick(...node.picks[0]),
      onkeydown: (event) => { if (event.key === "Enter" && step) onPick(...node.picks[0]); },
    }, svg("title", null, label)));
  }
  const W = 40 + depth * dx, H = 20 + leaves * dy;
  return h("div", { class: "scroll" },
    svg("svg", { class: "tree", width: W, height: H, viewBox: `0 0 ${W} ${H}` }, edges, dots));
}
