import { Component, OnDestroy, signal } from '@angular/core'
import { Title } from './title'

@Component({
  selector: 'app-root',
  imports: [Title],
  template: `
    <main>
      <app-title />
      <button id="say" (click)="say()">Say hello</button>
      <ol id="lines">
        @for (line of lines(); track line) {
          <li>{{ line }}</li>
        }
      </ol>
    </main>
  `,
})
export class App implements OnDestroy {
  readonly lines = signal<string[]>([])
  private readonly socket = new WebSocket(`ws://${location.host}/api/ws/echo`)

  constructor() {
    this.socket.onmessage = (event) => this.lines.update((lines) => [...lines, event.data])
  }

  say(): void {
    this.socket.send(`hello ${this.lines().length}`)
  }

  ngOnDestroy(): void {
    this.socket.close()
  }
}
