export { type EvolveDemoOptions, type EvolvedDay, type EvolvedDemo, evolveDemo } from './evolve.ts';
export { type LoadDemoOptions, type LoadedDemo, loadDemo } from './load.ts';
export { type Row, TABLE_NAMES, type TableName } from './rows.ts';
export { schemaSql } from './schema.ts';
export { type DemoState, demoState } from './state.ts';
