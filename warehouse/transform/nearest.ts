export { nearestOf } from '../core/nearest.ts';
