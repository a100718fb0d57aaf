'use strict';

/** Everything is made with createElement and textContent: no text of the project is ever read as HTML. */
var sluiceDocs = { index: undefined, chunks: new Map(), waiting: new Map() };

/** Called by each file of data/. */
sluiceDocs.provide = (number, pages) => {
  sluiceDocs.chunks.set(number, pages);
};

/** The page of the table at a place of the index; its file is loaded once. */
sluiceDocs.loadPage = (place) => {
  const per = sluiceDocs.index.pagesPerFile;
  const number = Math.floor(place / per);
  const pageOf = () => sluiceDocs.chunks.get(number)[place % per];
  if (sluiceDocs.chunks.has(number)) return Promise.resolve(pageOf());
  let loading = sluiceDocs.waiting.get(number);
  if (loading === undefined) {
    loading = new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = `data/pages-${number}.js`;
      script.addEventListener('load', resolve);
      script.addEventListener('error', () => reject(new Error(`data/pages-${number}.js is missing`)));
      document.head.append(script);
    });
    sluiceDocs.waiting.set(number, loading);
  }
  return loading.then(pageOf);
};

/** An element with attributes, listeners (on…) and children: nodes or text. */
sluiceDocs.el = (name, attributes = {}, ...children) => fillElement(document.createElement(name), attributes, children);

sluiceDocs.svg = (name, attributes = {}, ...children) =>
  fillElement(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);

function fillElement(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return element;
}

sluiceDocs.linkTo = (name) => `#/table/${encodeURIComponent(name)}`;

sluiceDocs.tableLink = (name) => sluiceDocs.el('a', { class: 'mono', href: sluiceDocs.linkTo(name) }, name);

sluiceDocs.count = (number) => (number === null || number === undefined ? '' : number.toLocaleString('en-US'));

sluiceDocs.bytes = (number) => {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = number;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
};

/** Time since an instant, as of now: the page may be older than its data. */
sluiceDocs.age = (instant) => {
  const time = Date.parse(instant);
  if (Number.isNaN(time)) return '';
  const minutes = Math.round((Date.now() - time) / 60000);
  if (minutes < 1) return 'just now';
  if (minutes < 120) return `${minutes} min ago`;
  return minutes < 2880 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1440)} days ago`;
};

/** A table of rows; columns are [title, cell, class]. */
sluiceDocs.table = (columns, rows) => {
  const { el } = sluiceDocs;
  const head = columns.map(([title, , kind]) => el('th', { scope: 'col', class: kind }, title));
  const body = rows.map((row) =>
    el(
      'tr',
      {},
      columns.map(([, cell, kind]) => el('td', { class: kind }, cell(row))),
    ),
  );
  return el(
    'div',
    { class: 'scroll', tabindex: '0' },
    el('table', {}, el('thead', {}, el('tr', {}, head)), el('tbody', {}, body)),
  );
};

const WORDS =
  /^(select|from|where|group|by|having|qualify|order|limit|offset|with|recursive|as|on|using|join|left|right|full|inner|outer|cross|lateral|semi|anti|asof|union|all|except|intersect|distinct|case|when|then|else|end|and|or|not|in|is|null|exists|between|like|ilike|cast|over|partition|rows|range|preceding|following|unbounded|current|row|filter|within|interval|date|timestamp|true|false|asc|desc|nulls|first|last|values|exclude|replace)$/i;

/** SQL with keywords, strings and comments marked. */
sluiceDocs.sql = (text) => {
  const { el } = sluiceDocs;
  const pattern = /(--[^\n]*|\/\*[\s\S]*?\*\/)|('(?:[^']|'')*')|([A-Za-z_]\w*)/g;
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    const [whole, note, string, word] = match;
    const kind = note ? 'note' : string ? 'text' : WORDS.test(word) ? 'word' : undefined;
    if (kind === undefined) continue;
    parts.push(text.slice(at, match.index), el('span', { class: kind }, whole));
    at = match.index + whole.length;
  }
  parts.push(text.slice(at));
  return el('pre', { tabindex: '0' }, el('code', {}, parts));
};
