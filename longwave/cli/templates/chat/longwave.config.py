"""Settings of this project; `longwave config --explain` shows all of them."""

from longwave import define_config

config = define_config(server={"port": 3000})
