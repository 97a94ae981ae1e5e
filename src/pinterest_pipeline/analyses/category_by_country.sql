-- number: 1
-- question: Which category of posts is the most popular in each country?
-- chart: bar
SELECT `country`, `category`, `category_count`
FROM (
  SELECT
    `country`,
    `category`,
    `category_count`,
    RANK() OVER (PARTITION BY `country` ORDER BY `category_count` DESC) AS `place`
  FROM (
    SELECT geo.`country`, pin.`category`, COUNT(*) AS `category_count`
    FROM `pin` AS pin
    JOIN `geo` AS geo ON pin.`ind` = geo.`ind`
    WHERE geo.`country` IS NOT NULL AND pin.`category` IS NOT NULL
    GROUP BY geo.`country`, pin.`category`
  ) AS counted
) AS ranked
WHERE `place` = 1
ORDER BY `country`, `category`
