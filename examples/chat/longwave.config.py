from longwave import define_config

config = define_config(
    server={
        "port": 3000,                                  # dev-server port
        "hmr": {"port": 3002, "path": "vite-hmr"},     # HMR WebSocket; path optional
    },
    features={"websocket": True},
)
