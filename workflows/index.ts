/** Every export here is a workflow that a worker registers under its name. */
export { backfill } from './backfill.ts';
export { elt, extract } from './elt.ts';
// The worker takes the default export, and nothing else, for types that it does not know.
// oxlint-disable-next-line import/no-default-export
export { unknownWorkflow as default } from './unknown-workflow.ts';
