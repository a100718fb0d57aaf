'use strict';

const SHOWN_AT_ONCE = 100;

sluiceDocs.badge = (text, kind = text) => sluiceDocs.el('span', { class: `badge ${kind}` }, text);

/** Tables whose name, description, domain or tags hold every word; names first. */
sluiceDocs.findNodes = (query, layer) => {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const scored = [];
  sluiceDocs.index.nodes.forEach((node, place) => {
    if (layer !== '' && node.layer !== layer) return;
    const name = node.name.toLowerCase();
    const rest = `${node.description} ${node.domain} ${node.tags.join(' ')} ${node.materialized}`.toLowerCase();
    if (!words.every((word) => name.includes(word) || rest.includes(word))) return;
    scored.push({ node, place, score: words.filter((word) => !name.includes(word)).length });
  });
  const order = ['gold', 'silver', 'bronze', 'bronze_log'];
  const rank = ({ node, score }) => score * 10 + order.indexOf(node.layer);
  scored.sort((a, b) => rank(a) - rank(b) || (a.node.name < b.node.name ? -1 : 1));
  return scored.map(({ node }) => node);
};

sluiceDocs.overviewPage = () => {
  const { el, index, count } = sluiceDocs;
  const models = index.nodes.filter((node) => node.kind === 'model');
  const release = index.releases[0];
  const failing = models.filter((node) => node.status === 'warn' || node.status === 'fail').length;
  const tile = (number, text) =>
    el('div', { class: 'card tile' }, el('b', {}, number), el('span', { class: 'quiet' }, text));
  const search = el('input', {
    type: 'search',
    'aria-label': 'Search tables',
    placeholder: 'Search by name, description, domain or tag',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const layer = el(
    'select',
    { 'aria-label': 'Layer' },
    ['', 'gold', 'silver', 'bronze', 'bronze_log'].map((name) =>
      el('option', { value: name }, name === '' ? 'all layers' : name),
    ),
  );
  const results = el('div', { 'aria-live': 'polite' });
  let limit = SHOWN_AT_ONCE;
  const show = () => {
    const found = sluiceDocs.findNodes(search.value, layer.value);
    const more = found.length - limit;
    results.replaceChildren(
      el('p', { class: 'quiet small' }, `${count(found.length)} ${found.length === 1 ? 'table' : 'tables'}`),
      sluiceDocs.nodeTable(found.slice(0, limit)),
      ...(more <= 0
        ? []
        : [
            el(
              'p',
              {},
              el(
                'button',
                {
                  type: 'button',
                  onclick: () => {
                    limit += SHOWN_AT_ONCE;
                    show();
                  },
                },
                `Show more (${count(more)} left)`,
              ),
            ),
          ]),
    );
  };
  const restart = () => {
    limit = SHOWN_AT_ONCE;
    show();
  };
  search.addEventListener('input', restart);
  layer.addEventListener('change', restart);
  show();
  return [
    el('h1', {}, index.title),
    el(
      'div',
      { class: 'tiles' },
      tile(count(models.length), 'models'),
      tile(count(index.nodes.length - models.length), 'source tables'),
      tile(count(models.reduce((sum, node) => sum + node.columns, 0)), 'columns'),
      tile(count(failing), failing === 1 ? 'model with warnings' : 'models with warnings'),
      tile(
        release === undefined ? 'none' : release.number,
        release === undefined ? 'release yet' : `release, as of ${release.asOf}`,
      ),
    ),
    el('div', { class: 'row', role: 'search' }, search, layer),
    results,
  ];
};

sluiceDocs.nodeTable = (nodes) =>
  sluiceDocs.table(
    [
      ['Table', (node) => sluiceDocs.tableLink(node.name), 'name'],
      ['Layer', (node) => sluiceDocs.badge(node.layer)],
      ['As', (node) => node.materialized],
      ['Rows', (node) => sluiceDocs.count(node.rows), 'num'],
      ['Tests', (node) => (node.status === 'none' ? '' : sluiceDocs.badge(node.status))],
      ['Description', (node) => node.description],
    ],
    nodes,
  );

sluiceDocs.sourcesPage = () => {
  const { el, index, count, age } = sluiceDocs;
  const parts = index.sources.flatMap((source) => [
    el('h2', {}, source.name),
    el(
      'p',
      { class: 'quiet' },
      source.at === null
        ? 'Nothing extracted yet.'
        : `Last commit ${source.commit}; Postgres as of ${source.at} (${age(source.at)}).`,
    ),
    sluiceDocs.table(
      [
        ['Table', (table) => sluiceDocs.tableLink(table.name), 'name'],
        ['Mode', (table) => table.mode],
        ['Changed in', (table) => `commit ${table.commit}`, 'num'],
        ['Rows logged', (table) => count(table.rows), 'num'],
        ['Size', (table) => sluiceDocs.bytes(table.bytes), 'num'],
        [
          'Watermark',
          (table) =>
            table.watermark === null
              ? ''
              : `${table.watermark}${age(table.watermark) ? ` (${age(table.watermark)})` : ''}`,
        ],
        [
          'Doubts',
          (table) =>
            [
              ...(table.aside > 0 ? [`${count(table.aside)} rows set aside`] : []),
              ...(table.consistency === 'exact' ? [] : [table.consistency]),
            ].join('; '),
        ],
      ],
      source.tables,
    ),
  ]);
  return [el('h1', {}, 'Sources'), el('p', { class: 'quiet' }, 'What bronze holds, by its commit log.'), ...parts];
};

sluiceDocs.releasesPage = () => {
  const { el, index, count, age } = sluiceDocs;
  const list = sluiceDocs.table(
    [
      ['Release', (release) => String(release.number), 'num'],
      ['Published', (release) => `${release.at.slice(0, 19).replace('T', ' ')} (${age(release.at)})`],
      ['As of', (release) => release.asOf],
      ['Commits', (release) => release.commits],
      ['Models', (release) => count(release.models), 'num'],
      ['Tests', (release) => count(release.tests), 'num'],
      ['Warnings', (release) => count(release.warnings), 'num'],
      ['Size', (release) => sluiceDocs.bytes(release.bytes), 'num'],
      ['Version', (release) => el('code', {}, `${release.version}${release.kind === 'rollback' ? ' (rollback)' : ''}`)],
    ],
    index.releases,
  );
  return [
    el('h1', {}, 'Releases'),
    index.releases.length === 0 ? el('p', {}, 'No release yet: sluice run makes the first.') : list,
  ];
};
