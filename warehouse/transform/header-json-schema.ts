import { z } from 'zod';
import { headerSchema } from './header-schema.ts';

/** The header as a JSON Schema, for editors and other tools; what only the compiler can check is not in it. */
export function headerJsonSchema(): Record<string, unknown> {
  return {
    $id: 'sluice-model-header',
    title: 'Header of a Sluice model (the YAML in the block comment of sql/<layer>/<domain>/<table>.sql)',
    ...z.toJSONSchema(headerSchema, { target: 'draft-2020-12', io: 'input' }),
  };
}
