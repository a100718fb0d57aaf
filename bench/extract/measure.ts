import { readFileSync, statSync } from 'node:fs';

/** What a child of this bench runs: measures some work and prints the figures as the last line. The work gives the files it wrote. */
export async function measure(work: () => Promise<readonly string[]>): Promise<void> {
  const started = performance.now();
  const files = await work();
  const wall_s = (performance.now() - started) / 1000;
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  const figures = {
    wall_s,
    user_s: userCPUTime / 1e6,
    sys_s: systemCPUTime / 1e6,
    peak_rss_mb: (ownPeakKb() ?? maxRSS) / 1024,
    files,
    bytes: files.reduce((sum, file) => sum + statSync(file).size, 0),
  };
  console.log(JSON.stringify(figures));
}

/** Linux counts the parent's memory at the fork into a child's maxRSS; VmHWM is of this program alone. */
function ownPeakKb(): number | undefined {
  try {
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return peak === undefined ? undefined : Number(peak);
  } catch {
    return undefined;
  }
}

/** The child's own options: one JSON object as its first argument. */
export function readJob(): unknown {
  return JSON.parse(process.argv[2] ?? '{}');
}
