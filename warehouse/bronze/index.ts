export { type Bronze, openBronze } from './bronze.ts';
