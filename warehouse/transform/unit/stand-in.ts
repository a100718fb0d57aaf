import type { TableContract } from '../../core/bronze-table.ts';
import { quotePath } from '../../core/quote.ts';
import type { CompiledModel } from '../model.ts';

/** A model whose rows a unit test gives: it reads them from a bronze table of its own. */

/** The bronze table under which rows given for a model stand. */
export function standInOf(model: string): string {
  return `bronze.given.${model.replace('.', '_')}`;
}

/** Its columns: those of the model. */
export function contractOf(model: CompiledModel): TableContract {
  return {
    key: model.key,
    columns: model.boundColumns.map(({ name, type }) => ({
      name,
      postgresType: type.toLowerCase(),
      duckdbType: type,
      nullable: true,
      policy: 'error',
    })),
  };
}

/** A file in a model's place that reads the given rows; what reads the model cannot tell, nor how changes of it arrive. */
export function standInSql(model: CompiledModel): string {
  const isView = model.materialized === 'view' && model.layer === 'silver';
  const columns = Object.fromEntries(model.boundColumns.map(({ name }) => [name, {}]));
  const header = {
    description: 'Rows given by a unit test.',
    materialized: isView ? 'view' : model.key.length > 0 ? 'incremental' : 'table',
    ...(model.key.length > 0 && { key: model.key }),
    ...(model.layer === 'gold' && { owner: { public: 'a unit test' }, columns }),
  };
  const list = model.boundColumns.map(({ name }) => quotePath(name)).join(', ');
  const [, source = '', table = ''] = standInOf(model.name).split('.');
  return `/*\n${JSON.stringify(header)}\n*/\nselect ${list} from ${quotePath('bronze', source, table)}\n`;
}
