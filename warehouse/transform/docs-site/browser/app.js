'use strict';

/** Pages by the part of the address behind #. */
const PAGES = [
  ['#/', 'Tables'],
  ['#/lineage', 'Lineage'],
  ['#/sources', 'Sources'],
  ['#/releases', 'Releases'],
];

async function render() {
  const { el, index } = sluiceDocs;
  const main = document.getElementById('main');
  if (index === undefined) {
    main.replaceChildren(el('p', { class: 'fail' }, 'data/index.js is missing: run sluice docs again.'));
    return;
  }
  const [path, query = ''] = (location.hash || '#/').split('?');
  const [, page = '', name = '', column] = path.split('/').map(decode);
  const wanted = location.hash;
  const content = await contentOf(page, name, column).catch((error) => [
    el('h1', {}, 'Error'),
    el('p', { class: 'fail' }, String(error.message)),
  ]);
  if (wanted !== location.hash) return;
  main.replaceChildren(...content);
  document.title = `${name || PAGES.find(([href]) => href === `#/${page}`)?.[1] || 'Table'} · ${index.title}`;
  document
    .getElementById('nav')
    .replaceChildren(
      ...PAGES.map(([href, title]) =>
        el('a', { href, 'aria-current': href === `#/${page}` ? 'page' : undefined }, title),
      ),
    );
  document.getElementById('stamp').textContent = `written ${index.generatedAt.slice(0, 16).replace('T', ' ')} UTC`;
  if (page === '' && query !== '') prefill(main, new URLSearchParams(query));
  window.scrollTo(0, 0);
}

function contentOf(page, name, column) {
  switch (page) {
    case 'table':
      return sluiceDocs.tablePage(name, column);
    case 'lineage':
      return Promise.resolve(sluiceDocs.lineagePage());
    case 'sources':
      return Promise.resolve(sluiceDocs.sourcesPage());
    case 'releases':
      return Promise.resolve(sluiceDocs.releasesPage());
    default:
      return Promise.resolve(sluiceDocs.overviewPage());
  }
}

function prefill(main, query) {
  const [search, layer] = [main.querySelector('input[type=search]'), main.querySelector('select')];
  search.value = query.get('q') ?? '';
  layer.value = query.get('layer') ?? '';
  search.dispatchEvent(new Event('input'));
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

window.addEventListener('hashchange', (event) => {
  if (location.hash === '#main') return history.replaceState(undefined, '', event.oldURL);
  return void render();
});
document.addEventListener('keydown', (event) => {
  const search = document.querySelector('input[type=search]');
  if (event.key === '/' && search !== null && document.activeElement?.tagName !== 'INPUT') {
    event.preventDefault();
    search.focus();
  }
});
void render();
