export { schemaSql } from './schema.ts';
