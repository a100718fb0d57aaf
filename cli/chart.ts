/** Small pictures for the terminal. */

export interface Bar {
  readonly label: string;
  /** Height; may be negative. */
  readonly value: number;
  /** Printed after the bar. */
  readonly text: string;
}

/** Horizontal bars around one zero line: negative values grow to the left of it, positive ones to the right. */
export function formatBars(bars: readonly Bar[], width = 40): string {
  const highest = Math.max(0, ...bars.map((bar) => bar.value));
  const lowest = Math.min(0, ...bars.map((bar) => bar.value));
  const span = highest - lowest;
  if (span === 0) return bars.map((bar) => `${bar.label} │ ${bar.text}`).join('\n');
  const left = Math.round((-lowest / span) * width);
  const label = Math.max(...bars.map((bar) => bar.label.length));
  return bars
    .map((bar) => {
      const length = bar.value === 0 ? 0 : Math.max(1, Math.round((Math.abs(bar.value) / span) * width));
      const before = bar.value < 0 ? '█'.repeat(Math.min(length, left)).padStart(left) : ' '.repeat(left);
      const after = bar.value > 0 ? '█'.repeat(Math.min(length, width - left)) : '';
      return `${bar.label.padEnd(label)} ${before}│${after} ${bar.text}`;
    })
    .join('\n');
}
