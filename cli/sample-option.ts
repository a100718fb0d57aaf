import { SluiceError } from '../warehouse/core/errors.ts';

/** The value of --sample. Throws USAGE. */
export function readSample(command: string, text: string): number {
  const sample = Number(text);
  if (/^\d{1,4}$/.test(text) && sample <= 1000) return sample;
  throw new SluiceError('USAGE', `${command}: --sample ${JSON.stringify(text)} is not a count from 0 to 1000.`, {
    remedy: `Try: sluice ${command} --sample 20`,
  });
}
