'use strict';

/** A table's own page. */
sluiceDocs.tablePage = async (name, column) => {
  const { el, index } = sluiceDocs;
  const place = sluiceDocs.placeOf(name);
  if (place === undefined)
    return [el('h1', {}, 'Not found'), el('p', {}, 'There is no table ', el('code', {}, name), '.')];
  const node = index.nodes[place];
  const page = await sluiceDocs.loadPage(place);
  const links = (places) =>
    places.length === 0
      ? ['none']
      : places.flatMap((at, i) => [...(i > 0 ? [', '] : []), sluiceDocs.tableLink(index.nodes[at].name)]);
  const facts = [
    ...page.facts.flatMap(([label, text]) => [el('dt', {}, label), el('dd', {}, text)]),
    ...(node.kind === 'model' ? [el('dt', {}, 'Reads'), el('dd', {}, links(node.inputs))] : []),
    el('dt', {}, 'Read by'),
    el('dd', {}, links(sluiceDocs.readersOf(place))),
  ];
  const way = el('div', { 'aria-live': 'polite' });
  const shown = await showColumns(page, way, column);
  return [
    el(
      'div',
      { class: 'row' },
      sluiceDocs.badge(node.layer),
      ...(node.status === 'none'
        ? []
        : [sluiceDocs.badge(node.status === 'pass' ? 'tests pass' : node.status, node.status)]),
    ),
    el('h1', { class: 'mono' }, name),
    el('p', {}, page.description),
    el('div', { class: 'card' }, el('dl', {}, facts)),
    el('h2', {}, 'Columns'),
    el(
      'p',
      { class: 'quiet small' },
      'Press a column to see where it comes from and where it goes. = marks a value carried as it is.',
    ),
    shown,
    way,
    ...showRows(page),
    ...(page.tests.length === 0 ? [] : [el('h2', {}, 'Tests over the table'), showTests(page.tests)]),
    el('h2', {}, 'Lineage'),
    ...sluiceDocs.neighbourhood(place).filter(Boolean),
    ...(page.sql === ''
      ? []
      : [
          el('h2', {}, 'SQL'),
          sluiceDocs.sql(page.sql),
          el('details', {}, el('summary', {}, 'Header'), el('pre', { tabindex: '0' }, el('code', {}, page.header))),
        ]),
  ];
};

async function showColumns(page, way, chosen) {
  const { el } = sluiceDocs;
  const buttons = [];
  const open = async (name) => {
    for (const button of buttons) button.setAttribute('aria-expanded', String(button.dataset.column === name));
    way.replaceChildren(el('h2', {}, `The way of ${name}`), ...(await sluiceDocs.columnPicture(page.name, name)));
    way.scrollIntoView({ block: 'nearest' });
  };
  const buttonOf = (column) => {
    const button = el(
      'button',
      { type: 'button', class: 'link', 'aria-expanded': 'false', onclick: () => void open(column.name) },
      column.name,
    );
    button.dataset.column = column.name;
    buttons.push(button);
    return button;
  };
  const source = (column) => {
    if (column.unknown !== undefined) return el('span', { class: 'warn', title: column.unknown }, 'unknown');
    const tables = [...new Set(column.from.map(([table]) => table))];
    return tables.map((table) => {
      const links = column.from.flatMap(([from, of, kind]) =>
        from === table
          ? [
              ' ',
              el('a', { class: 'mono', href: `${sluiceDocs.linkTo(table)}/${encodeURIComponent(of)}` }, of),
              kind === 'copied' ? ' =' : '',
            ]
          : [],
      );
      return el('div', { class: 'small' }, el('span', { class: 'quiet' }, `${table.replace(/^[^.]+\./, '')}:`), links);
    });
  };
  const columns = [
    ['Column', (column) => [buttonOf(column), ...(column.isKey ? [' ', sluiceDocs.badge('key', 'none')] : [])], 'name'],
    ['Type', (column) => el('code', {}, column.type)],
    ['Description', (column) => column.description],
    [
      'Tests',
      (column) =>
        column.tests.map((test) =>
          el(
            'div',
            {},
            sluiceDocs.badge(shortName(test.name), test.status.replace('not run', 'none')),
            test.failures > 0 ? ` ${sluiceDocs.count(test.failures)} rows` : '',
          ),
        ),
    ],
    ['From', source],
  ];
  const table = sluiceDocs.table(
    page.rowsFrom === undefined || page.sql === ''
      ? columns.filter(([title]) => title !== 'From' && title !== 'Tests')
      : columns,
    page.columns,
  );
  const found = page.columns.find((column) => column.name === chosen);
  if (found !== undefined) await open(found.name);
  return table;
}

const shortName = (name) => name.split('.').at(-1);

function showTests(tests) {
  return sluiceDocs.table(
    [
      ['Test', (test) => sluiceDocs.el('code', {}, test.name), 'name'],
      ['Severity', (test) => test.severity],
      ['Last result', (test) => sluiceDocs.badge(test.status, test.status.replace('not run', 'none'))],
      ['Failing rows', (test) => sluiceDocs.count(test.failures), 'num'],
    ],
    tests,
  );
}

function showRows(page) {
  const { el } = sluiceDocs;
  if (page.sql === '') return [];
  const list = page.rowsFrom.flatMap(([table, column], i) => [
    ...(i > 0 ? [', '] : []),
    el(
      'a',
      { class: 'mono small', href: `${sluiceDocs.linkTo(table)}/${encodeURIComponent(column)}` },
      `${table}.${column}`,
    ),
  ]);
  return [
    el('h2', {}, 'What decides its rows'),
    el('p', {}, list.length === 0 ? 'No column: every row of what it reads is carried.' : list),
    ...(page.rowsUnknown === undefined ? [] : [el('p', { class: 'warn small' }, `unknown: ${page.rowsUnknown}`)]),
  ];
}
