/** Every export here is a workflow that a worker registers under its name. */
export { backfill } from './backfill.ts';
export { elt, extract } from './elt.ts';
