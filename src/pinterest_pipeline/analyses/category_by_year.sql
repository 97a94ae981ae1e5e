-- number: 2
-- question: Which category of posts was the most popular in each year?
-- chart: bar
SELECT `post_year`, `category`, `category_count`
FROM (
  SELECT
    `post_year`,
    `category`,
    `category_count`,
    RANK() OVER (PARTITION BY `post_year` ORDER BY `category_count` DESC) AS `place`
  FROM (
    SELECT YEAR(geo.`timestamp`) AS `post_year`, pin.`category`, COUNT(*) AS `category_count`
    FROM `pin` AS pin
    JOIN `geo` AS geo ON pin.`ind` = geo.`ind`
    WHERE geo.`timestamp` IS NOT NULL AND pin.`category` IS NOT NULL
    GROUP BY YEAR(geo.`timestamp`), pin.`category`
  ) AS counted
) AS ranked
WHERE `place` = 1
ORDER BY `post_year`, `category`
