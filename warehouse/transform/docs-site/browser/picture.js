'use strict';

/** A graph as SVG: boxes are links, so that they are reached by Tab; drag, wheel, buttons and keys move and zoom. */
sluiceDocs.picture = (nodes, edges, options = {}) => {
  const { el, svg } = sluiceDocs;
  const size = { width: 220, height: 40, gapX: 70, gapY: 14 };
  const { at, width, height } = sluiceDocs.layOut(nodes, edges, size);
  const full = { x: -16, y: -16, w: Math.max(width, size.width) + 32, h: Math.max(height, size.height) + 32 };
  let view = full;
  const lines = edges.flatMap(([from, to, kind]) => {
    const [a, b] = [at.get(from), at.get(to)];
    if (a === undefined || b === undefined) return [];
    const [x1, y1, x2, y2] = [a.x + size.width, a.y + size.height / 2, b.x, b.y + size.height / 2];
    const bend = Math.max(30, (x2 - x1) / 2);
    return [svg('path', { class: kind, d: `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}` })];
  });
  const short = (text) => (text.length > 28 ? `${text.slice(0, 27)}…` : text);
  const boxes = nodes.map((node) => {
    const { x, y } = at.get(node.id);
    return svg(
      'a',
      {
        href: node.href,
        class: `${node.layer}${node.here ? ' here' : ''}`,
        'aria-label': `${node.title} ${node.under}`,
      },
      svg('title', {}, `${node.title}\n${node.under}`),
      svg('rect', { x, y, width: size.width, height: size.height, rx: 8 }),
      svg('text', { x: x + 10, y: y + 17 }, short(node.title)),
      svg('text', { x: x + 10, y: y + 32, class: 'under' }, short(node.under)),
    );
  });
  const shape = svg('svg', { role: 'group', 'aria-label': options.label ?? 'Lineage' }, ...lines, ...boxes);
  const show = () => shape.setAttribute('viewBox', `${view.x} ${view.y} ${view.w} ${view.h}`);
  const zoom = (factor, cx = 0.5, cy = 0.5) => {
    const w = Math.min(full.w * 2, Math.max(160, view.w * factor));
    const h = (view.h / view.w) * w;
    view = { x: view.x + (view.w - w) * cx, y: view.y + (view.h - h) * cy, w, h };
    show();
  };
  const move = (dx, dy) => {
    view = { ...view, x: view.x + dx, y: view.y + dy };
    show();
  };
  /** Boxes at their natural size at least; the rest is a drag away. */
  const fit = (whole) => {
    const space = shape.clientWidth || 900;
    const tall = Math.min(560, Math.max(120, (full.h * space) / Math.max(full.w, space)));
    shape.style.height = `${tall}px`;
    const scale = whole
      ? Math.max(full.w / space, full.h / tall)
      : Math.min(Math.max(full.w / space, full.h / tall), 1.25);
    const [w, h] = [space * scale, tall * scale];
    const here = nodes.find((node) => node.here);
    const centre = here === undefined ? { x: full.x + full.w / 2, y: full.y + full.h / 2 } : at.get(here.id);
    const start = here === undefined ? Math.max(full.x, centre.x - w / 2) : centre.x + size.width / 2 - w / 2;
    view = {
      x: full.w <= w ? full.x - (w - full.w) / 2 : here === undefined ? full.x : start,
      y: full.h <= h ? full.y - (h - full.h) / 2 : centre.y + size.height / 2 - h / 2,
      w,
      h,
    };
    show();
  };
  let held;
  shape.addEventListener('pointerdown', (event) => {
    held = { x: event.clientX, y: event.clientY, moved: false };
  });
  shape.addEventListener('pointermove', (event) => {
    if (held === undefined || event.buttons === 0) return;
    const scale = view.w / shape.clientWidth;
    if (Math.hypot(event.clientX - held.x, event.clientY - held.y) > 3) held.moved = true;
    move((held.x - event.clientX) * scale, (held.y - event.clientY) * scale);
    held = { ...held, x: event.clientX, y: event.clientY };
  });
  shape.addEventListener('click', (event) => {
    if (held?.moved) event.preventDefault();
    held = undefined;
  });
  shape.addEventListener(
    'wheel',
    (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
      event.preventDefault();
      const box = shape.getBoundingClientRect();
      zoom(
        event.deltaY > 0 ? 1.15 : 0.87,
        (event.clientX - box.left) / box.width,
        (event.clientY - box.top) / box.height,
      );
    },
    { passive: false },
  );
  const step = () => view.w / 8;
  const keys = {
    '+': () => zoom(0.8),
    '=': () => zoom(0.8),
    '-': () => zoom(1.25),
    0: () => fit(true),
    ArrowLeft: () => move(-step(), 0),
    ArrowRight: () => move(step(), 0),
    ArrowUp: () => move(0, -step()),
    ArrowDown: () => move(0, step()),
  };
  const button = (text, label, work) => el('button', { type: 'button', 'aria-label': label, onclick: work }, text);
  const tools = el(
    'div',
    { class: 'tools' },
    button('−', 'Smaller', () => zoom(1.25)),
    button('+', 'Larger', () => zoom(0.8)),
    button('All', 'Show all', () => fit(true)),
    button('1:1', 'Readable size', () => fit(false)),
    el('span', { class: 'quiet small' }, options.note ?? 'drag to move, Ctrl + wheel to zoom, keys + − 0 and arrows'),
  );
  const picture = el(
    'div',
    {
      class: 'picture',
      tabindex: '0',
      onkeydown: (event) => {
        const work = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
        if (work === undefined) return;
        event.preventDefault();
        work();
      },
    },
    tools,
    shape,
  );
  requestAnimationFrame(() => fit(false));
  return picture;
};
