import { hash } from 'node:crypto';

/** SHA-256, shortened. */
export function digest(text: string): string {
  return hash('sha256', text).slice(0, 32);
}
