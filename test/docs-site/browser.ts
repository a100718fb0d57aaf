import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** A real Chromium: the system's, or the one that `npx playwright-core install chromium` brought. */
export function openBrowser(): Promise<Browser> {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const own = folders.flatMap((dir) => NAMES.map((name) => join(dir, name))).find((path) => existsSync(path));
  return chromium.launch({ ...(own === undefined ? {} : { executablePath: own }), args: ['--no-sandbox'] });
}

export interface OpenPage {
  readonly page: Page;
  /** Errors of the page and whatever it asked of the network. */
  readonly complaints: readonly string[];
  readonly go: (hash: string) => Promise<void>;
  readonly text: () => Promise<string>;
}

export async function openSite(browser: Browser, dir: string, options: BrowserContextOptions = {}): Promise<OpenPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('dialog', (dialog) => {
    complaints.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!/^(file|data):/.test(request.url())) complaints.push(`asked ${request.url()}`);
  });
  const go = async (hash: string): Promise<void> => {
    await page.goto(`file://${join(dir, 'index.html')}${hash}`);
    await page.locator('main h1').first().waitFor();
  };
  await go('#/');
  return {
    page,
    complaints,
    go,
    text: async () => (await page.locator('main').innerText()).replaceAll(/\s+/g, ' '),
  };
}
