import type { ModelState } from '../../core/release.ts';
import { isReplayable, SNAPSHOT_COLUMNS } from '../snapshot-rule.ts';
import type { Decision, DecisionFacts } from './decide-model.ts';

/** What a snapshot that stands in the release needs. It is never computed anew by itself: `refresh` looks at what it has not seen and adds to its history. */
export function decideSnapshot(
  { model, versions, fullRefresh, dropHistory }: DecisionFacts,
  state: ModelState,
): Decision {
  if (dropHistory?.has(model.name) === true) {
    const source = isReplayable(model) ? "read again from bronze's log" : 'begun anew';
    return { kind: 'rebuild', why: `its history is dropped as asked, and ${source}` };
  }
  const changed = model.inputs.filter((input) => state.consumed[input] !== (versions.get(input) ?? 0));
  if (state.fingerprint !== model.fingerprint) {
    const known = new Set(state.columns.map(({ name }) => name.toLowerCase()));
    const added = model.boundColumns.filter(
      ({ name }) => !known.has(name.toLowerCase()) && !SNAPSHOT_COLUMNS.includes(name),
    );
    const columns =
      added.length === 0 ? '' : `: ${added.map(({ name }) => name).join(', ')} NULL in the versions there are`;
    return { kind: 'refresh', why: `its definition changed, its history stays${columns}`, changed };
  }
  if (changed.length > 0) {
    return {
      kind: 'refresh',
      why: `changed: ${changed.join(', ')}${fullRefresh ? '; its history stays' : ''}`,
      changed,
    };
  }
  const why = fullRefresh ? 'a full refresh leaves its history; --drop-history names it' : 'nothing it reads changed';
  return { kind: 'unchanged', why };
}
