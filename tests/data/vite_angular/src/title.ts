import { Component } from '@angular/core'

@Component({
  selector: 'app-title',
  templateUrl: './title.html',
})
export class Title {}
