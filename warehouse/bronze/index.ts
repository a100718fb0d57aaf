export { type Bronze, openBronze } from './bronze.ts';
export { sweepBronze } from './janitor.ts';
