'use strict';

/** Places the boxes of a graph in columns from left to right: what is read stands left of what reads it, and few lines cross. */
sluiceDocs.layOut = (nodes, edges, size) => {
  const into = new Map(nodes.map((node) => [node.id, []]));
  const outOf = new Map(nodes.map((node) => [node.id, []]));
  for (const [from, to] of edges) {
    if (!into.has(to) || !outOf.has(from) || from === to) continue;
    into.get(to).push(from);
    outOf.get(from).push(to);
  }
  const rank = new Map();
  const waiting = new Map(nodes.map((node) => [node.id, into.get(node.id).length]));
  let ready = nodes.filter((node) => waiting.get(node.id) === 0).map((node) => node.id);
  while (ready.length > 0) {
    const next = [];
    for (const id of ready) {
      rank.set(id, Math.max(0, ...into.get(id).map((from) => (rank.get(from) ?? -1) + 1)));
      for (const to of outOf.get(id)) {
        waiting.set(to, waiting.get(to) - 1);
        if (waiting.get(to) === 0) next.push(to);
      }
    }
    ready = next;
  }
  const columns = [];
  for (const node of nodes) {
    const column = rank.get(node.id) ?? 0;
    (columns[column] ??= []).push(node.id);
  }
  const place = new Map();
  const number = () => columns.forEach((column) => column?.forEach((id, i) => place.set(id, i - column.length / 2)));
  number();
  const mean = (ids) => ids.reduce((sum, id) => sum + place.get(id), 0) / ids.length;
  for (let sweep = 0; sweep < 8; sweep++) {
    const near = sweep % 2 === 0 ? into : outOf;
    for (const column of sweep % 2 === 0 ? columns : [...columns].reverse()) {
      const wish = new Map(column.map((id) => [id, near.get(id).length === 0 ? place.get(id) : mean(near.get(id))]));
      column.sort((a, b) => wish.get(a) - wish.get(b));
      column.forEach((id, i) => place.set(id, i - column.length / 2));
    }
  }
  const tallest = Math.max(1, ...columns.map((column) => column.length));
  const at = new Map();
  columns.forEach((column, x) =>
    column.forEach((id, i) =>
      at.set(id, {
        x: x * (size.width + size.gapX),
        y: ((tallest - column.length) / 2 + i) * (size.height + size.gapY),
      }),
    ),
  );
  return {
    at,
    width: columns.length * (size.width + size.gapX) - size.gapX,
    height: tallest * (size.height + size.gapY) - size.gapY,
  };
};
