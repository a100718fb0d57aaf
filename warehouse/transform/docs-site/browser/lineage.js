'use strict';

/** Boxes of a picture: beyond this it is no picture any more. */
const MOST_BOXES = 150;

sluiceDocs.placeOf = (name) => {
  sluiceDocs.places ??= new Map(sluiceDocs.index.nodes.map((node, place) => [node.name, place]));
  return sluiceDocs.places.get(name);
};

/** For each table the places of those that read it. */
sluiceDocs.readersOf = (place) => {
  if (sluiceDocs.readers === undefined) {
    sluiceDocs.readers = sluiceDocs.index.nodes.map(() => []);
    sluiceDocs.index.nodes.forEach((node, reader) =>
      node.inputs.forEach((input) => sluiceDocs.readers[input].push(reader)),
    );
  }
  return sluiceDocs.readers[place];
};

/** What a table reaches in one direction, nearest first. */
function reachable(start, next, limit) {
  const found = new Set([start]);
  for (const place of found) {
    for (const other of next(place)) {
      if (found.size >= limit) return found;
      found.add(other);
    }
  }
  return found;
}

function boxOf(place, here) {
  const node = sluiceDocs.index.nodes[place];
  return {
    id: place,
    title: node.name.replace(/^[^.]+\./, ''),
    under: `${node.layer} · ${node.materialized}`,
    layer: node.layer,
    href: sluiceDocs.linkTo(node.name),
    here,
  };
}

sluiceDocs.tablePicture = (places, here, label) => {
  const set = new Set(places);
  const edges = [...set].flatMap((place) =>
    sluiceDocs.index.nodes[place].inputs.filter((input) => set.has(input)).map((input) => [input, place, '']),
  );
  return sluiceDocs.picture(
    [...set].sort((a, b) => a - b).map((place) => boxOf(place, place === here)),
    edges,
    { label },
  );
};

/** All that a table is made from and all that is made from it. */
sluiceDocs.neighbourhood = (place) => {
  const up = reachable(place, (at) => sluiceDocs.index.nodes[at].inputs, MOST_BOXES / 2);
  const down = reachable(place, sluiceDocs.readersOf, MOST_BOXES / 2);
  const note =
    up.size + down.size >= MOST_BOXES
      ? sluiceDocs.el('p', { class: 'quiet small' }, 'More tables are connected than are drawn: the nearest are shown.')
      : undefined;
  return [sluiceDocs.tablePicture([...up, ...down], place, `Lineage of ${sluiceDocs.index.nodes[place].name}`), note];
};

/** All tables, or their domains where there are too many. */
sluiceDocs.lineagePage = () => {
  const { el, index } = sluiceDocs;
  const heading = el('h1', {}, 'Lineage');
  if (index.nodes.length <= MOST_BOXES) {
    const connected = index.nodes.flatMap((node, place) =>
      node.inputs.length > 0 || sluiceDocs.readersOf(place).length > 0 ? [place] : [],
    );
    return [
      heading,
      el('p', { class: 'quiet' }, 'What is read stands left of what reads it. A box leads to its table.'),
      sluiceDocs.tablePicture(connected, undefined, 'Lineage of all tables'),
    ];
  }
  const groupOf = (node) => `${node.layer} ${node.domain}`;
  const groups = new Map();
  for (const node of index.nodes) groups.set(groupOf(node), [...(groups.get(groupOf(node)) ?? []), node]);
  const largest = [...groups].sort((a, b) => b[1].length - a[1].length).slice(0, MOST_BOXES);
  const kept = new Set(largest.map(([name]) => name));
  const edges = new Map();
  for (const node of index.nodes) {
    for (const input of node.inputs) {
      const [from, to] = [groupOf(index.nodes[input]), groupOf(node)];
      if (from !== to && kept.has(from) && kept.has(to)) edges.set(`${from}\0${to}`, [from, to, '']);
    }
  }
  const boxes = largest.map(([name, nodes]) => ({
    id: name,
    title: nodes[0].domain || nodes[0].layer,
    under: `${nodes[0].layer} · ${nodes.length} tables`,
    layer: nodes[0].layer,
    href: `#/?q=${encodeURIComponent(nodes[0].domain)}&layer=${encodeURIComponent(nodes[0].layer)}`,
  }));
  return [
    heading,
    el(
      'p',
      { class: 'quiet' },
      `${sluiceDocs.count(index.nodes.length)} tables, drawn by domain; each table's page shows its own surroundings.`,
    ),
    sluiceDocs.picture(boxes, [...edges.values()], { label: 'Lineage of domains' }),
  ];
};

/** The way of one column: everything it is computed from and everything computed from it, table by table. */
sluiceDocs.columnPicture = async (table, column) => {
  const boxes = new Map();
  const edges = new Map();
  const unknown = new Set();
  const keyOf = (name, of) => `${name}\0${of.toLowerCase()}`;
  const visit = async (name, of, side) => {
    const key = keyOf(name, of);
    const place = sluiceDocs.placeOf(name);
    if (place === undefined || boxes.size > MOST_BOXES) return;
    if (!boxes.has(key)) {
      boxes.set(key, {
        id: key,
        title: of,
        under: name,
        layer: sluiceDocs.index.nodes[place].layer,
        href: `${sluiceDocs.linkTo(name)}/${encodeURIComponent(of)}`,
        here: name === table && of.toLowerCase() === column.toLowerCase(),
      });
    }
    const page = await sluiceDocs.loadPage(place);
    const found = page.columns.find((one) => one.name.toLowerCase() === of.toLowerCase());
    if (found?.unknown !== undefined && side === 'from') unknown.add(`${name}.${of}: ${found.unknown}`);
    for (const [other, otherColumn, kind] of found?.[side] ?? []) {
      if (kind === 'rows') continue;
      const otherKey = keyOf(other, otherColumn);
      const edge = side === 'from' ? [otherKey, key, kind] : [key, otherKey, kind];
      const isNew = !edges.has(edge.join('\0'));
      edges.set(edge.join('\0'), edge);
      if (isNew) await visit(other, otherColumn, side);
    }
  };
  await visit(table, column, 'from');
  await visit(table, column, 'to');
  const note = 'blue: the value is carried as it is; grey: it is computed';
  return [
    sluiceDocs.picture([...boxes.values()], [...edges.values()], { label: `Lineage of ${table}.${column}`, note }),
    ...[...unknown].map((text) => sluiceDocs.el('p', { class: 'warn small' }, `unknown: ${text}`)),
  ];
};
