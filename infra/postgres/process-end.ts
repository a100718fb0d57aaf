/** Runs something when the process ends by itself, by process.exit() or by a signal that nobody else handles. */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const actions = new Set<() => void>();

/** Registers a synchronous action; the answer takes it back. Never keeps the process alive. */
export function onProcessEnd(action: () => void): () => void {
  if (actions.size === 0) {
    process.on('exit', runAll);
    for (const signal of SIGNALS) process.on(signal, onSignal);
  }
  actions.add(action);
  return () => {
    if (!actions.delete(action) || actions.size > 0) return;
    removeListeners();
  };
}

function runAll(): void {
  for (const action of actions) action();
  actions.clear();
}

/** A program with handlers of its own decides itself when to end; its exit comes by here again. */
function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  runAll();
  removeListeners();
  process.kill(process.pid, signal);
}

function removeListeners(): void {
  process.off('exit', runAll);
  for (const signal of SIGNALS) process.off(signal, onSignal);
}
