/** A file to be written into the Sluice project. */
export interface ImportedFile {
  /** Relative to the Sluice project, with `/`. */
  readonly path: string;
  readonly text: string;
  /** The file of the dbt project that it comes from. */
  readonly from: string;
  /** The line of the dbt file that a line of this one comes from. */
  readonly lineOf: (line: number) => number;
}
